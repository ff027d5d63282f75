// One caption, word by word: how likely each was, what the picture gave, what else was likely.

import {html, nothing, repeat} from './vendor/lit.js';
import {gainInWords, place, probability, shown, spoken, surprise} from './wording.js';

export function words(tokens, {chosen = null, choose, hover = choose, label}) {
  const move = (event) => {
    const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    if (!step) return;
    event.preventDefault();
    const buttons = [...event.currentTarget.querySelectorAll('button')];
    buttons[(buttons.indexOf(event.target) + step + buttons.length) % buttons.length]?.focus();
  };
  return html`<div class="words" role="group" aria-label=${label} @keydown=${move}
      @pointerleave=${(event) => event.pointerType === 'mouse' && hover(null)}>
    ${repeat(tokens, (_, i) => i, (token, i) => html`<button type="button"
      class=${token.token === '<END>' ? 'word end' : 'word'}
      tabindex=${i === (chosen ?? 0) ? 0 : -1} aria-pressed=${i === chosen}
      aria-label="${spoken(token.token)}, ${probability(token.logprob)}"
      .style=${surprise(token.logprob)}
      @pointerenter=${(event) => event.pointerType === 'mouse' && hover(i)}
      @focus=${() => choose(i)} @click=${() => choose(i)}>${shown(token.token)}</button>`)}
  </div>`;
}

/** What there is to say of one word. */
export function wordDetail(token) {
  if (!token) {
    return html`<div class="detail"><p class="hint">Point at a word, or move to it with the keyboard:
      where the network looked, how likely the word was and what else it might have said. The more
      colour, the less likely.</p></div>`;
  }
  const gain = token.image_gain;
  return html`<div class="detail" aria-live="polite">
    <p><b>${spoken(token.token)}</b> had a probability of <b>${probability(token.logprob)}</b>
      <span class="number">logprob ${token.logprob.toFixed(3)}</span></p>
    ${gain === undefined ? nothing : html`<p class="gain">${gainBar(gain)} ${gainInWords(gain)}
      <span class="number">${gain > 0 ? '+' : ''}${gain.toFixed(2)} nats</span></p>`}
    ${alternatives(token)}
  </div>`;
}

function gainBar(gain) {
  const width = Math.min(1, Math.abs(gain) / 6) * 30;
  return html`<svg class="gain-bar" viewBox="0 0 64 12" width="64" height="12" aria-hidden="true">
    <rect x="0" y="5" width="64" height="2" class="rail"></rect>
    <rect class=${gain < 0 ? 'minus' : 'plus'} x=${gain < 0 ? 32 - width : 32} y="1" rx="2"
      width=${width} height="10"></rect></svg>`;
}

export function alternatives(token) {
  const top = token.top_logprobs;
  if (!top?.length) return nothing;
  const best = Math.exp(top[0].logprob);
  return html`<table class="bars"><caption>What it might have said here</caption>
    <tbody>${top.map((other) => html`<tr class=${other.token === token.token ? 'said' : ''}>
      <th scope="row">${spoken(other.token)}</th>
      <td><span class="bar" .style=${`--part: ${Math.exp(other.logprob) / best}`}></span></td>
      <td class="number">${probability(other.logprob)}</td></tr>`)}</tbody></table>`;
}

/** The same as a table, for reading rather than pointing. */
export function wordTable(tokens) {
  const has = (name) => tokens.some((token) => token[name] !== undefined);
  const [attention, gain, top] = ['attention', 'image_gain', 'top_logprobs'].map(has);
  return html`<details class="table"><summary>As a table</summary><div class="scroll" tabindex="0"
      role="region" aria-label="The words as a table"><table>
    <thead><tr><th scope="col">word</th><th scope="col">probability</th><th scope="col">logprob</th>
      ${gain ? html`<th scope="col">image gain</th>` : nothing}
      ${attention ? html`<th scope="col">looked at</th>` : nothing}
      ${top ? html`<th scope="col">or</th>` : nothing}</tr></thead>
    <tbody>${tokens.map((token) => html`<tr><th scope="row">${spoken(token.token)}</th>
      <td>${probability(token.logprob)}</td><td>${token.logprob.toFixed(3)}</td>
      ${gain ? html`<td>${token.image_gain.toFixed(2)}</td>` : nothing}
      ${attention ? html`<td>${place(token.attention)}</td>` : nothing}
      ${top ? html`<td>${token.top_logprobs.filter((other) => other.token !== token.token).slice(0, 3)
    .map((other) => `${spoken(other.token)} ${probability(other.logprob)}`).join(', ')}</td>` : nothing}
    </tr>`)}</tbody></table></div></details>`;
}
