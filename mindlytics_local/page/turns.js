// From a conversation's events to what is shown of them: turns with what happened inside, and notes between them.

const TURN = "Conversation Turn", FAILED = "Turn Failed", CALL = "Conversation Function", USAGE = "Conversation Usage";
const SILENT = new Set(["Conversation Started", "Conversation Ended"]);

const inTime = (a, b) => new Date(a.timestamp) - new Date(b.timestamp) || a.seq - b.seq;

/** The events as a list of `{ key, turn, inside }` and `{ key, note }`, oldest first. */
function grouped(events) {
  const shown = [];
  const byTurn = new Map();
  let loose = null;
  for (const event of [...events].sort(inTime)) {
    const id = event.properties?.turn_id;
    if ([TURN, FAILED, CALL, USAGE].includes(event.event)) {
      let group = id ? byTurn.get(id) : loose;
      if (!group) {
        group = { key: String(event.seq), turn: null, inside: [] };
        shown.push(group);
        if (id) byTurn.set(id, group);
        else loose = group;
      }
      if (event.event === CALL || event.event === USAGE) group.inside.push(event);
      else if (group.turn) shown.push({ key: String(event.seq), turn: event, inside: [] });
      else group.turn = event;
      if (group === loose && group.turn) loose = null;
    } else if (!SILENT.has(event.event)) {
      shown.push({ key: String(event.seq), note: event });
    }
  }
  return shown;
}
