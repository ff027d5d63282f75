// Numbers in words, and words as text.

export const percent = (p) => {
  if (p >= 0.9995) return '~100%';
  if (p >= 0.995) return `${(Math.floor(1000 * p) / 10).toFixed(1)}%`;
  if (p >= 0.095) return `${Math.round(100 * p)}%`;
  if (p >= 0.0095) return `${(100 * p).toFixed(1)}%`;
  return `1 in ${round(1 / p).toLocaleString('en')}`;
};

const round = (n) => {
  if (!Number.isFinite(n)) return n;
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(n)) - 1);
  return Math.round(n / unit) * unit;
};

export const probability = (logprob) => percent(Math.exp(logprob));

/** A token as it can be shown: the end token and white space have names. */
export const shown = (token) =>
  ({'<START>': 'start', '<END>': 'end', '<UNK>': '‹unknown›', '\n': '↵', ' ': '␣', '\t': '⇥'})[token] ?? token;

export const spoken = (token) =>
  ({'<START>': 'the start', '<END>': 'the end', '<UNK>': 'a word that it does not know', '\n': 'line break', ' ': 'space', '\t': 'tab'})[token] ?? token;

/** What a confidence means. */
export function verdict(confidence) {
  if (confidence >= 0.75) return 'very likely a good description';
  if (confidence >= 0.55) return 'probably a good description';
  if (confidence >= 0.35) return 'may well be wrong';
  return 'most likely wrong';
}

/** What the gain of the image says of a word, in words. */
export function gainInWords(gain) {
  const times = Math.exp(Math.abs(gain));
  const factor = times >= 10 ? round(times).toLocaleString('en') : times.toFixed(1);
  if (gain > 0.3) return `The photograph makes it ${factor} times as likely as it would otherwise be.`;
  if (gain < -0.3) return `The photograph makes it ${factor} times less likely: habit speaks for it.`;
  return 'The photograph hardly matters here: the word comes from habit.';
}

/** Where most of an attention map lies: "upper left", "centre" ... */
export function place(grid) {
  let x = 0, y = 0, total = 0;
  grid.forEach((row, i) => row.forEach((weight, j) => {
    x += weight * (j + 0.5) / row.length;
    y += weight * (i + 0.5) / grid.length;
    total += weight;
  }));
  const third = (value, low, high) => (value / total < 0.42 ? low : value / total > 0.58 ? high : '');
  const where = `${third(y, 'upper', 'lower')} ${third(x, 'left', 'right')}`.trim();
  return where || 'centre';
}

/** How much colour a token gets: 0 for a certain one to 1 for one of 1 in 150 or less. */
export const surprise = (logprob) => `--surprise: ${Math.min(1, -logprob / 5) ** 0.7}`;

export async function copy(text) {
  if (navigator.clipboard?.writeText) {
    await navigator.clipboard.writeText(text);
    return;
  }
  // Without https, browsers have only the old way.
  const area = Object.assign(document.createElement('textarea'), {value: text, className: 'away'});
  document.body.append(area);
  area.select();
  document.execCommand('copy');
  area.remove();
}
