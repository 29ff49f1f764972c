// The list of conversations.

const STEP = 60;

/** Show conversations as links; `several` says whether they belong to several projects. */
function showList(list, conversations, chosen, several) {
  const items = conversations.map((conversation) => {
    const current = isSame(conversation, chosen);
    return {
      key: JSON.stringify([conversation.app_id, conversation.conversation_id]),
      version: JSON.stringify([conversation, current, several, ago(conversation.last_activity_at)]),
      make: () => el("li", null, listItem(conversation, current, several)),
    };
  });
  reconcile(list, items);
}

const isSame = (conversation, chosen) =>
  chosen?.view === "conversation" && chosen.id === conversation.conversation_id && (!chosen.project || chosen.project === conversation.app_id);

function listItem(conversation, current, several) {
  const { title, user_id, app_id, last_activity_at } = conversation;
  const whose = [user_id ?? "anonymous", several && app_id].filter(Boolean).join(" · ");
  const link = el(
    "a",
    { href: linkTo({ id: conversation.conversation_id, project: app_id }) },
    el(
      "span",
      { className: "line" },
      el("span", { className: title ? "title" : "title untitled" }, title ?? "nothing said yet"),
      el("span", { className: "when", title: full.format(new Date(last_activity_at)) }, ago(last_activity_at)),
    ),
    el(
      "span",
      { className: "line" },
      el("span", { className: "whose" }, whose),
      el("span", { className: "facts" }, ...listFacts(conversation)),
    ),
  );
  if (current) link.setAttribute("aria-current", "true");
  return link;
}

function listFacts({ turns, failed, ended_at }) {
  return [
    failed ? el("span", { className: "bad" }, `${numbers.format(failed)} failed`) : null,
    ended_at ? null : el("span", { className: "open" }, "open"),
    el("span", null, counted(turns, "turn")),
  ];
}

/** The address of a conversation within the page. */
function linkTo({ id, project, raw }) {
  const parts = new URLSearchParams({ c: id });
  if (project) parts.set("app", project);
  if (raw) parts.set("view", "raw");
  return `#${parts}`;
}

/** What the page's address asks for; null for the list alone. */
function asked() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const project = parts.get("app") ?? "";
  if (parts.get("u")) return { view: "user", id: parts.get("u"), project };
  if (parts.get("s")) return { view: "session", id: parts.get("s"), project };
  if (["charts", "sessions"].includes(parts.get("view"))) return { view: parts.get("view"), project };
  if (!parts.get("c")) return null;
  return { view: "conversation", id: parts.get("c"), project, raw: parts.get("view") === "raw" };
}

/** Arrow keys walk through the list. */
function walkList(event) {
  const steps = { ArrowDown: 1, ArrowUp: -1 };
  if (!(event.key in steps)) return;
  const links = [...byId("list").querySelectorAll("a")];
  const next = links[links.indexOf(document.activeElement) + steps[event.key]];
  if (next) {
    event.preventDefault();
    next.focus();
  }
}
