// One conversation: its head, its turns, its raw events.

/** Characters of a text that are shown at once; the rest comes when it is asked for. */
const SHOWN_CHARS = 4000;

function showHead(conversation, raw) {
  const { title, user_id, user, session_id, session, conversation_id, started_at, last_activity_at, ended_at } = conversation;
  byId("title").textContent = title ?? "Nothing said yet";
  const lasted = new Date(ended_at ?? last_activity_at) - new Date(started_at);
  const known = user_id ?? user?.id;
  byId("who").replaceChildren(
    el("span", null, known ? el("a", { href: `#${new URLSearchParams({ u: known, app: conversation.app_id })}` }, user_id ?? "anonymous") : "anonymous"),
    el("span", null, "started ", time(started_at, full)),
    el("span", ended_at ? null : { className: "open" }, ended_at ? `ended after ${duration(lasted)}` : "open"),
    el("span", { title: conversation_id }, "conversation ", el("span", { className: "id" }, short(conversation_id))),
    el("span", { title: session_id }, "session ", el("a", { className: "id", href: linkToSession(conversation) }, short(session_id))),
    session?.device_id ? el("span", { title: session.device_id }, "device ", el("span", { className: "id" }, short(session.device_id))) : "",
  );
  byId("totals").replaceChildren(...totals({ ...conversation, reckoned_cost: costOf(conversation, state.prices) }));
  byId("ending").textContent = ending(conversation);
  byId("raw").textContent = raw ? "Conversation" : "Raw events";
}

function totals({ turns, functions, failed, prompt_tokens, completion_tokens, models, reckoned_cost }) {
  const figures = [
    ["Turns", numbers.format(turns)],
    ["Function calls", numbers.format(functions)],
    failed ? ["Failed", numbers.format(failed), "bad"] : null,
    ["Tokens read", numbers.format(prompt_tokens)],
    ["Tokens written", numbers.format(completion_tokens)],
    reckoned_cost === null ? null : ["Cost", prices.format(reckoned_cost)],
    models.length ? [models.length === 1 ? "Model" : "Models", models.join(", ")] : null,
  ];
  return figures
    .filter(Boolean)
    .map(([name, value, kind]) => el("div", { className: kind }, el("dt", null, name), el("dd", null, value)));
}

function ending({ ended_at, ended_by, last_activity_at }) {
  if (!ended_at) return `Still open. Last activity ${clock.format(new Date(last_activity_at))}.`;
  const how = ended_by === "session" ? "Ended with its session" : "Ended";
  return `${how} at ${full.format(new Date(ended_at))}.`;
}

function showTranscript(events, userName) {
  const items = grouped(events).map((item) => ({
    key: item.key,
    version: item.note ? "note" : `${item.turn?.seq ?? ""}/${item.inside.length}/${userName}`,
    make: () => (item.note ? note(item.note) : turn(item, userName)),
  }));
  byId("transcript").className = "transcript";
  reconcile(byId("transcript"), items);
}

function showRaw(events) {
  const items = [...events].sort(inTime).map((event) => ({ key: `raw${event.seq}`, version: "", make: () => rawEvent(event) }));
  byId("transcript").className = "transcript raw";
  reconcile(byId("transcript"), items);
}

function turn({ turn: event, inside }, userName) {
  const said = event?.properties ?? {};
  const calls = inside.filter(({ event: name }) => name === CALL);
  const failed = event?.event === FAILED;
  return el(
    "section",
    { className: "turn arrived", ariaLabel: failed ? "Failed turn" : "Turn" },
    ...("user" in said ? userSide(said, userName) : []),
    ...calls.map(call),
    ...(event ? (failed ? failedSide(said) : assistantSide(said)) : [el("p", { className: "by" }, "no answer yet")]),
    event ? factsLine(event, inside.filter(({ event: name }) => name === USAGE)) : "",
  );
}

function userSide(said, userName) {
  // A greeting is a turn that nobody asked for.
  if (said.user === "") return [];
  return [el("p", { className: "by user" }, userName), bubble("user", said.user)];
}

function assistantSide(said) {
  const kind = said.interrupted === true ? "assistant cut" : "assistant";
  return [el("p", { className: "by" }, said.assistant_id ?? "Assistant"), bubble(kind, said.assistant)];
}

const failedSide = (said) => [
  el("p", { className: "by" }, "No answer"),
  el("div", { className: "bubble failed" }, `This turn failed: ${said.error ?? "unknown error"}`),
];

function bubble(kind, text) {
  const words = el("div", { className: "text", dir: "auto" }, text.slice(0, SHOWN_CHARS));
  if (text === "") words.replaceChildren(el("span", { className: "empty" }, "an empty text"));
  if (text.length <= SHOWN_CHARS) return el("div", { className: `bubble ${kind}` }, words);
  const all = el("button", { type: "button", className: "quiet whole" }, `Show all ${numbers.format(text.length)} characters`);
  all.addEventListener("click", () => {
    words.textContent = text;
    all.remove();
  });
  return el("div", { className: `bubble ${kind}` }, words, all);
}

function call(event) {
  const { name, args, result, runtime, error } = event.properties;
  const gist = error ?? [args, result].filter((text) => text !== undefined).join(" → ");
  return el(
    "details",
    { className: "call" },
    el(
      "summary",
      null,
      el("span", { className: "name" }, String(name)),
      el("span", { className: error ? "gist tag bad" : "gist" }, String(gist).slice(0, 300)),
      runtime === undefined ? "" : el("span", { className: "ms" }, duration(runtime)),
    ),
    el(
      "div",
      { className: "inside" },
      part("Arguments", args),
      part("Result", result),
      part("Raised", error),
      args === undefined && result === undefined && !error ? el("p", { className: "muted" }, "Nothing more was recorded.") : "",
    ),
  );
}

const part = (name, text) =>
  text === undefined ? "" : el("div", null, el("h4", null, name), el("pre", { dir: "auto", tabIndex: 0 }, pretty(text)));

function factsLine(event, usage) {
  const said = event.properties;
  const facts = [
    said.interrupted === true ? el("span", { className: "tag warn" }, "stopped before the end") : null,
    time(event.timestamp),
    said.model,
    tokens(said),
    said.cost === undefined ? null : `cost ${prices.format(said.cost)}`,
    said.latency_ms === undefined ? null : duration(said.latency_ms),
    said.time_to_first_token_ms === undefined ? null : `first token ${duration(said.time_to_first_token_ms)}`,
    said.truncated_chars ? `${numbers.format(said.truncated_chars)} characters not recorded` : null,
    ...usage.map(({ properties }) => ["also", properties.model, tokens(properties)].filter(Boolean).join(" ")),
  ];
  return el("p", { className: "facts-line" }, ...facts.filter(Boolean).map((fact) => el("span", null, fact)));
}

function tokens({ prompt_tokens, completion_tokens, cached_tokens }) {
  if (prompt_tokens === undefined && completion_tokens === undefined) return null;
  const cached = cached_tokens ? ` (${numbers.format(cached_tokens)} cached)` : "";
  return `${numbers.format(prompt_tokens ?? 0)}${cached} → ${numbers.format(completion_tokens ?? 0)} tokens`;
}

const note = (event) => el("p", { className: "note" }, `${event.event} · `, time(event.timestamp));

function rawEvent(event) {
  return el(
    "details",
    { className: "call" },
    el(
      "summary",
      null,
      el("span", { className: "name" }, event.event ?? event.type),
      el("span", { className: "gist" }, `#${event.seq}`),
      el("span", { className: "ms" }, time(event.timestamp)),
    ),
    el("div", { className: "inside" }, el("pre", { dir: "auto", tabIndex: 0 }, JSON.stringify(event, null, 2))),
  );
}
