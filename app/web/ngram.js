// An n-gram counted in the browser: the model that a network is compared with.

/** Draws the next character after the longest context that the counted text has. */
export class NGram {
  /** `order` characters in the longest n-grams: the last one is drawn given those before it. */
  constructor(text, order) {
    this.order = order;
    this.counts = new Map();
    const characters = Array.from(text);
    for (let i = 0; i < characters.length; i += 1) {
      for (let length = 0; length < order && length <= i; length += 1) {
        const context = characters.slice(i - length, i).join('');
        let next = this.counts.get(context);
        if (!next) this.counts.set(context, next = new Map());
        next.set(characters[i], (next.get(characters[i]) ?? 0) + 1);
      }
    }
  }

  /** Return [{token, logprob}], likeliest first, after `text`. */
  after(text) {
    const characters = Array.from(text);
    for (let length = this.order - 1; length >= 0; length -= 1) {
      const next = this.counts.get(characters.slice(Math.max(0, characters.length - length)).join(''));
      if (!next) continue;
      const total = [...next.values()].reduce((sum, count) => sum + count, 0);
      return [...next].map(([token, count]) => ({token, logprob: Math.log(count / total)}))
        .sort((a, b) => b.logprob - a.logprob);
    }
    return [];
  }

  /** Yield tokens with their log-probabilities and alternatives, drawn at a temperature. */
  * write(prompt, {length, temperature, seed}) {
    const random = generator(seed);
    let text = prompt;
    for (let i = 0; i < length; i += 1) {
      const found = this.after(text.slice(-2 * this.order));
      if (!found.length) return;
      const weights = found.map(({logprob}) => (
        temperature ? Math.exp((logprob - found[0].logprob) / temperature) : 0));
      if (!temperature) weights[0] = 1;
      let left = random() * weights.reduce((sum, weight) => sum + weight, 0);
      let drawn = 0;
      while (drawn < found.length - 1 && (left -= weights[drawn]) > 0) drawn += 1;
      text += found[drawn].token;
      yield {text: found[drawn].token, logprob: found[drawn].logprob, top: found.slice(0, 5)};
    }
  }
}

/** Numbers from 0 up to 1 that depend on the seed alone (mulberry32). */
function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(state ^ (state >>> 15), state | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}
