// One user: ids, traits, and everything they have said.

async function showUser({ id, project }, limit) {
  const filter = { $user: id };
  const [users, conversations, { count }] = await Promise.all([
    ask("users", "find", { project, filter: { $or: [{ aliases: id }, { user_id: id }] }, limit: 1 }),
    ask("conversations", "find", { project, filter, sort: { last_activity_at: -1 }, limit }),
    ask("conversations", "count", { project, filter }),
  ]);
  const user = users[0];
  byId("user-title").textContent = user?.id ?? id;
  byId("user-count").textContent = counted(count, "conversation");
  byId("user-facts").replaceChildren(
    ...facts(user ? { "First seen": full.format(new Date(user.created_at)), Ids: user.aliases.join(", "), ...user.traits } : { "": "Nobody is known by this id yet." }),
  );
  showList(byId("user-history"), conversations, null, false);
  return count > limit;
}

/** Names with what they are, as the children of a `dl`. */
const facts = (named) =>
  Object.entries(named).map(([name, value]) => el("div", null, el("dt", { dir: "auto" }, name), el("dd", { dir: "auto" }, String(value))));
