// One user: ids, traits, and everything they have said.

async function showUser(id, project) {
  const [users, conversations] = await Promise.all([
    ask("users", "find", { project, filter: { aliases: id }, limit: 1 }),
    ask("conversations", "find", { project, filter: { user_id: id }, sort: { started_at: -1 }, limit: 200 }),
  ]);
  const user = users[0];
  byId("user-title").textContent = user?.id ?? id;
  const facts = user
    ? [["First seen", full.format(new Date(user.created_at))], ["Ids", user.aliases.join(", ")], ...Object.entries(user.traits).map(([name, value]) => [name, String(value)])]
    : [["", "Nobody is known by this id yet."]];
  byId("user-facts").replaceChildren(...facts.map(([name, value]) => el("div", null, el("dt", null, name), el("dd", { dir: "auto" }, value))));
  byId("user-history").replaceChildren(...conversations.map((conversation) => el("li", null, listItem(conversation, false, false))));
  byId("user-count").textContent = counted(conversations.length, "conversation");
}
