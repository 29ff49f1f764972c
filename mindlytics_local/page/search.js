// What the list is narrowed to.

const searchForm = () => byId("search");

/** The form's content as a filter of conversations; null when nothing is asked for. */
function searched() {
  const given = Object.fromEntries([...new FormData(searchForm())].map(([name, value]) => [name, value.trim()]));
  const wanted = [];
  if (given.text) wanted.push({ $search: given.text });
  if (given.user) wanted.push({ $user: given.user });
  if (given.event) wanted.push({ event_names: given.event });
  if (given.since) wanted.push({ last_activity_at: { $gte: new Date(given.since).toISOString() } });
  if (given.until) wanted.push({ started_at: { $lte: new Date(given.until).toISOString() } });
  if (given.state === "open") wanted.push({ ended_at: null });
  if (given.state === "ended") wanted.push({ ended_at: { $exists: true } });
  if (given.state === "failed") wanted.push({ failed: { $gt: 0 } });
  return wanted.length ? { $and: wanted } : null;
}
