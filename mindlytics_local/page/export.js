// Taking data along: JSON Lines as they are, CSV for spreadsheets.

const EXPORT_PAGE = 500;
const CONVERSATION_COLUMNS = [
  "app_id", "conversation_id", "session_id", "user_id", "title", "started_at", "ended_at", "ended_by", "last_activity_at",
  "turns", "functions", "failed", "prompt_tokens", "completion_tokens", "cost",
];
const TURN_COLUMNS = [
  "timestamp", "event", "user", "assistant", "name", "args", "result", "error", "model", "prompt_tokens", "completion_tokens", "cost", "latency_ms",
];

/** One cell. A text that a spreadsheet would run as a formula is marked as text. */
function cell(value) {
  if (value === undefined || value === null) return "";
  const text = typeof value === "string" && /^[\s]*[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const csv = (columns, records) =>
  [columns, ...records.map((record) => columns.map((name) => record[name]))].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
const jsonLines = (records) => records.map((record) => `${JSON.stringify(record)}\n`).join("");

function save(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  el("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

function saveEvents(conversation, events, form) {
  const name = `conversation-${conversation.conversation_id.replace(/[^\w-]+/g, "_").slice(0, 60)}`;
  const sorted = [...events].sort(inTime);
  if (form === "jsonl") return save(`${name}.jsonl`, "application/x-ndjson", jsonLines(sorted));
  save(`${name}.csv`, "text/csv", csv(TURN_COLUMNS, sorted.map((event) => ({ ...event.properties, timestamp: event.timestamp, event: event.event }))));
}

/** All conversations of the list, also those that it does not show yet. */
async function saveConversations(filter, form) {
  const found = [];
  for (;;) {
    const some = await ask("conversations", "find", { filter: filter ?? {}, sort: { started_at: 1 }, skip: found.length, limit: EXPORT_PAGE });
    found.push(...some);
    if (some.length < EXPORT_PAGE) break;
  }
  if (form === "jsonl") save("conversations.jsonl", "application/x-ndjson", jsonLines(found));
  else save("conversations.csv", "text/csv", csv(CONVERSATION_COLUMNS, found));
}
