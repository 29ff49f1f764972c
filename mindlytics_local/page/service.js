// The service: questions, and the stream of what is new.

const KEY = "mindlytics-key";
const FIRST_WAIT = 500, LONGEST_WAIT = 10_000;
const PAGE_OF_EVENTS = 500;

/** The service wants a key that this page does not have. */
class KeyNeeded extends Error {}

function headers(project) {
  const key = sessionStorage.getItem(KEY);
  return { ...(key && { Authorization: `Bearer ${key}` }), ...(project && { "X-App-ID": project }) };
}

async function request(path, { project, signal } = {}) {
  const answer = await fetch(path, { headers: headers(project), signal, cache: "no-store" });
  if (answer.status === 401) throw new KeyNeeded();
  if (!answer.ok) throw new Error(await answer.text());
  return answer;
}

async function ask(collection, op, { project, ...parameters } = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) query.set(name, JSON.stringify(value));
  return (await request(`/bc/v1/db/${collection}/${op}?${query}`, { project })).json();
}

const narrowed = (filter) => (filter ? { filter } : {});
const latestConversations = (limit, filter) => ask("conversations", "find", { ...narrowed(filter), sort: { last_activity_at: -1 }, limit });
const conversationCount = async (filter) => (await ask("conversations", "count", narrowed(filter))).count;
const sessionCount = async () => (await ask("sessions", "count")).count;
const oneConversation = (id, project) =>
  ask("conversations", "findOne", { project, filter: { conversation_id: id }, include: ["session", "user"] });

/** A conversation's events after one, oldest first, however many there are. */
async function eventsOf(id, project, after = 0) {
  const events = [];
  for (;;) {
    const filter = { conversation_id: id, seq: { $gt: after } };
    const some = await ask("events", "find", { project, filter, sort: { seq: 1 }, limit: PAGE_OF_EVENTS });
    events.push(...some);
    if (some.length < PAGE_OF_EVENTS) return events;
    after = some.at(-1).seq;
  }
}

/** Follow the stream for as long as the page is looked at; `on.event` for each event, `on.look` when some were missed. */
async function follow(on) {
  let wait = FIRST_WAIT;
  for (;;) {
    await visible();
    const leaving = new AbortController();
    const leave = () => document.hidden && leaving.abort();
    document.addEventListener("visibilitychange", leave);
    try {
      const answer = await request("/live", { signal: leaving.signal });
      on.state("live");
      on.look();
      wait = FIRST_WAIT;
      for await (const message of messages(answer.body)) on[message.kind]?.(message.data);
    } catch (error) {
      if (error instanceof KeyNeeded) return on.key();
    } finally {
      document.removeEventListener("visibilitychange", leave);
    }
    if (document.hidden) continue;
    on.state("lost");
    await new Promise((done) => setTimeout(done, wait));
    wait = Math.min(wait * 2, LONGEST_WAIT);
  }
}

/** A browser opens few connections to one place: a page that nobody sees gives its own back. */
function visible() {
  if (!document.hidden) return Promise.resolve();
  return new Promise((done) => {
    document.addEventListener("visibilitychange", function check() {
      if (document.hidden) return;
      document.removeEventListener("visibilitychange", check);
      done();
    });
  });
}

/** Server-Sent Events, read by hand: the browser's own reader cannot send a key. */
async function* messages(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const whole = (waiting + value).split("\n\n");
    waiting = whole.pop();
    for (const text of whole) {
      const fields = new Map(text.split("\n").map((line) => [line.split(":", 1)[0], line.slice(line.indexOf(":") + 2)]));
      if (fields.has("event")) yield { kind: fields.get("event"), data: JSON.parse(fields.get("data")) };
    }
  }
}
