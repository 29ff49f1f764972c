// Sessions: the latest of them, and one with all its events, also those outside of conversations.

async function showSessions(_, limit) {
  const [sessions, { count }] = await Promise.all([ask("sessions", "find", { sort: { started_at: -1 }, limit }), ask("sessions", "count")]);
  byId("sessions-count").textContent = counted(count, "session");
  const items = sessions.map((session) => ({
    key: JSON.stringify([session.app_id, session.session_id]),
    version: JSON.stringify([session, ago(session.started_at)]),
    make: () => el("li", null, sessionItem(session)),
  }));
  reconcile(byId("session-list"), items);
  return count > limit;
}

const linkToSession = ({ session_id, app_id }) => `#${new URLSearchParams({ s: session_id, app: app_id })}`;

function sessionItem(session) {
  const { session_id, app_id, user_id, device_id, started_at, ended_at } = session;
  return el(
    "a",
    { href: linkToSession(session) },
    el(
      "span",
      { className: "line" },
      el("span", { className: "title" }, user_id ?? device_id ?? "anonymous"),
      el("span", { className: "when", title: full.format(new Date(started_at)) }, ago(started_at)),
    ),
    el(
      "span",
      { className: "line" },
      el("span", { className: "whose" }, [short(session_id), app_id].filter(Boolean).join(" · ")),
      el("span", { className: "facts" }, ended_at ? el("span", null, duration(new Date(ended_at) - new Date(started_at))) : el("span", { className: "open" }, "open")),
    ),
  );
}

async function showSession({ id, project }, limit) {
  const filter = { session_id: id };
  const [session, events, { count }] = await Promise.all([
    ask("sessions", "findOne", { project, filter, include: ["user", "conversations"] }),
    ask("events", "find", { project, filter, sort: { timestamp: -1, seq: -1 }, limit }),
    ask("events", "count", { project, filter }),
  ]);
  byId("session-title").textContent = `Session ${short(id)}`;
  const known = session?.user_id ?? session?.user?.id;
  byId("session-who").replaceChildren(
    known ? el("a", { href: `#${new URLSearchParams({ u: known, app: session.app_id })}` }, session.user_id ?? "anonymous") : "",
    el("span", null, session ? counted(count, "event") : "This session is not here. It appears as soon as it arrives."),
  );
  byId("session-facts").replaceChildren(
    ...facts(session ? { Started: full.format(new Date(session.started_at)), Ended: session.ended_at ? full.format(new Date(session.ended_at)) : "open", ...(session.device_id && { Device: session.device_id }), ...session.attributes } : {}),
  );
  showList(byId("session-conversations"), [...(session?.conversations ?? [])].reverse(), null, false);
  reconcile(byId("session-events"), events.map((event) => ({ key: String(event.seq), version: "", make: () => rawEvent(event) })));
  return count > limit;
}
