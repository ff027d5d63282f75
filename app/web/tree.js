// A search's steps as a tree: who grew from whom, and where each is drawn.

const UNLIKELY = Math.log(0.01);  // ends that are less likely and lead nowhere are left out

/**
 * Return {columns: [{items}]}. An item is a candidate or an ending of the API, and has `from` (the
 * item that it grew from, null for the first), `column`, `row`, `rows`, and once the search has
 * ended `leads` if a returned caption goes through it, and `best` if the first one does.
 */
export function layOut(steps) {
  const columns = [];
  let before = null;
  steps.forEach(({endings, candidates}, column) => {
    const from = (item) => (before && item.parent !== undefined ? before[item.parent] : null);
    const grown = candidates.map((item) => ({...item, end: false, from: from(item), column}));
    const ended = endings.filter(({logprob, caption}) => caption !== undefined || logprob > UNLIKELY).map((item) => ({...item, end: true, token: '<END>', from: from(item), column}));
    const items = [...grown, ...ended].sort((a, b) => (
      (a.from?.row ?? 0) - (b.from?.row ?? 0) || b.total - a.total));
    items.forEach((item, row) => Object.assign(item, {row, rows: items.length}));
    columns.push({items});
    before = grown;
  });
  for (const item of columns.flatMap(({items}) => items)) {
    if (item.caption === undefined) continue;
    for (let one = item; one; one = one.from) {
      one.leads = true;
      one.best ||= item.caption === 0;
    }
  }
  return {columns};
}

/** The words of an item and of all that it grew from. */
export function sequence(item) {
  const words = [];
  for (let one = item; one; one = one.from) if (!one.end) words.unshift(one.token);
  return words.join(' ');
}
