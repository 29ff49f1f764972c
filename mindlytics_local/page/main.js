// What is shown, and what happens when something is new or somebody clicks.

const state = { limit: STEP, viewLimit: STEP, more: false, sessions: 0, refused: 0, conversations: [], total: 0, chosen: null, conversation: null, events: [], filter: null, prices: {} };
/** How long new events are gathered before the page asks for what they changed, in milliseconds. */
const GATHER = 120;
/** One event changes little in charts of days: how often they are asked for at most, in milliseconds. */
const CHARTS_EVERY = 2000;

/** Run one at a time; a call during a run makes one more run after it. */
function oneAtATime(work) {
  let running = false, again = false;
  return async function run() {
    if (running) return void (again = true);
    running = true;
    try {
      await work();
    } catch (error) {
      if (error instanceof KeyNeeded) askKey();
      else setStatus("lost");
    } finally {
      running = false;
      if (again) {
        again = false;
        run();
      }
    }
  };
}

/** What brings each view up to date; those that show a list say whether there is more of it. */
const VIEWS = { conversation: refreshConversation, user: showUser, session: showSession, sessions: showSessions, charts: refreshCharts };

const refresh = oneAtATime(async () => {
  const chosen = state.chosen;
  const [conversations, total] = await Promise.all([latestConversations(state.limit, state.filter), conversationCount(state.filter)]);
  const sessions = total ? state.sessions : await sessionCount();
  Object.assign(state, { conversations, total, sessions });
  const more = chosen ? await VIEWS[chosen.view](chosen, state.viewLimit) : total && isWide() && (await refreshCharts());
  if (state.chosen === chosen) state.more = more === true;
  show();
});

let chartsDue = 0, chartsLater = null;

async function refreshCharts() {
  const early = chartsDue - Date.now();
  if (early > 0) {
    chartsLater ??= setTimeout(() => {
      chartsLater = null;
      refresh();
    }, early);
    return;
  }
  await showCharts(byId("range").value);
  chartsDue = Date.now() + CHARTS_EVERY;
}

async function refreshConversation(chosen) {
  const conversation = await oneConversation(chosen.id, chosen.project);
  if (state.chosen !== chosen) return;
  // Another run of the service, or a wipe, may have left a conversation of the same name and other events.
  const same = conversation && state.conversation && conversation.started_at === state.conversation.started_at;
  const known = same ? state.events : [];
  const last = known.reduce((highest, { seq }) => Math.max(highest, seq), 0);
  const more = conversation ? await eventsOf(chosen.id, conversation.app_id, last) : [];
  if (state.chosen === chosen) Object.assign(state, { conversation, events: [...known, ...more] });
}

function show() {
  const { conversations, total, chosen, conversation } = state;
  const several = new Set(conversations.map(({ app_id }) => app_id)).size > 1;
  showList(byId("list"), conversations, chosen, several);
  const empty = total === 0 && state.filter === null;
  const view = chosen?.view ?? (empty ? "welcome" : "charts");
  const missing = view === "conversation" && conversation === null;
  const section = { charts: "overview", conversation: missing ? "choose" : "conversation" }[view] ?? view;
  for (const one of byId("main").children) one.hidden = one.id !== section;
  for (const button of document.querySelectorAll(".older")) button.hidden = !state.more;
  byId("count").textContent = empty ? "" : counted(total, "conversation");
  byId("links").hidden = empty && !state.sessions;
  byId("more").hidden = total <= conversations.length;
  byId("welcome-sessions").hidden = !state.sessions;
  byId("welcome-sessions").firstElementChild.textContent = `${counted(state.sessions, "session")} without a conversation`;
  document.body.dataset.view = chosen ? "conversation" : "list";
  byId("main").classList.toggle("empty", empty);
  byId("choose-text").textContent = "This conversation is not here. It appears as soon as it arrives.";
  document.title = conversation?.title ? `${conversation.title} · Mindlytics local` : "Mindlytics local";
  if (conversation) showConversation();
}

function showConversation() {
  const { conversation, events, chosen } = state;
  const atEnd = isAtEnd();
  showHead(conversation, chosen.raw);
  byId("raw").href = linkTo({ ...chosen, raw: !chosen.raw });
  if (chosen.raw) showRaw(events);
  else showTranscript(events, conversation.user_id ?? "User");
  if (atEnd && state.following) scrollToEnd();
}

/** The element that scrolls: the transcript beside the list, the whole page on a phone. */
const isWide = () => getComputedStyle(byId("main")).overflowY === "auto";
const scroller = () => (isWide() ? byId("main") : document.scrollingElement);
const isAtEnd = () => scroller().scrollHeight - scroller().scrollTop - scroller().clientHeight < 80;
const scrollToEnd = () => scroller().scrollTo({ top: scroller().scrollHeight });

/** Go where the address says. */
async function go() {
  const before = state.chosen;
  state.chosen = asked();
  const moved = ["view", "id", "project"].some((part) => before?.[part] !== state.chosen?.[part]) || !state.chosen;
  if (moved) Object.assign(state, { conversation: null, events: [], following: false });
  if (!moved) return show();
  Object.assign(state, { viewLimit: STEP, more: false });
  chartsDue = 0;
  await refresh();
  scroller().scrollTo({ top: 0 });
  if (before && !state.chosen) byId("list").querySelector("a")?.focus({ preventScroll: true });
  state.following = true;
}

let gathering = null;

/** Something is new: look, but not for each of a hundred events at once. */
function noticed(event) {
  if (event && state.conversation && event.conversation_id === state.conversation.conversation_id && event.event === TURN) {
    byId("announce").textContent = `New turn: ${String(event.properties.assistant).slice(0, 200)}`;
  }
  gathering ??= setTimeout(() => {
    gathering = null;
    refresh();
  }, GATHER);
}

function setStatus(kind) {
  byId("status").dataset.state = kind;
  byId("status").textContent = { live: "Live", lost: "Reconnecting", key: "Key needed" }[kind];
}

function askKey() {
  setStatus("key");
  if (sessionStorage.getItem(KEY)) byId("ask-key-text").textContent = "The service refused this key. It takes those it was started with.";
  if (!byId("ask-key").open) byId("ask-key").showModal();
}

function keepKey(event) {
  event.preventDefault();
  sessionStorage.setItem(KEY, byId("key").value.trim());
  byId("ask-key").close();
  begin();
}

/** Somebody's event was turned down: the first thing to know while integrating. */
function showRefused({ session_id, properties }) {
  const which = session_id ? `, session ${short(session_id)}` : "";
  state.refused += 1;
  byId("refused").hidden = false;
  byId("refused-text").textContent = `${state.refused === 1 ? "Refused" : `Refused ${numbers.format(state.refused)} times, the last`}${which}: ${properties.error_message}`;
}

async function loadPrices() {
  state.prices = (await (await request(`/statistics?${new URLSearchParams({ start: new Date().toISOString() })}`)).json()).prices;
}

function narrow(event) {
  event.preventDefault();
  Object.assign(state, { filter: searched(), limit: STEP });
  refresh();
}

function begin() {
  loadPrices().then(refresh, () => {});
  refresh();
  follow({ event: noticed, refused: showRefused, missed: () => startOver(), look: () => noticed(), state: setStatus, key: askKey });
}

/** More has changed than there are events for: what is shown may be gone. */
function startOver() {
  Object.assign(state, { conversation: null, events: [] });
  noticed();
}

const snippet = [`MLSDK_SERVER_BASE=${location.origin}`, "MLSDK_API_KEY=anything", "MLSDK_PROJECT_ID=anything"]
  .map((line) => `export ${line}`)
  .join("\n");
byId("snippet").textContent = snippet;
byId("copy-snippet").addEventListener("click", (event) => copy(event.currentTarget, snippet));
byId("copy-link").addEventListener("click", (event) => copy(event.currentTarget, location.href));
byId("ask-key-form").addEventListener("submit", keepKey);
byId("list").addEventListener("keydown", walkList);
byId("more").addEventListener("click", () => {
  state.limit += STEP;
  refresh();
});
byId("search").addEventListener("submit", narrow);
byId("search").addEventListener("input", narrow);
for (const button of document.querySelectorAll(".older")) {
  button.addEventListener("click", () => {
    state.viewLimit += STEP;
    refresh();
  });
}
byId("refused-close").addEventListener("click", () => {
  state.refused = 0;
  byId("refused").hidden = true;
});
byId("range").addEventListener("change", () => {
  chartsDue = 0;
  refresh();
});
for (const form of ["csv", "jsonl"]) {
  byId(`save-${form}`).addEventListener("click", oneAtATime(() => saveConversations(state.filter, form)));
  byId(`save-events-${form}`).addEventListener("click", () => saveEvents(state.conversation, state.events, form));
}
addEventListener("hashchange", go);
setInterval(show, 30_000);
state.chosen = asked();
begin();
