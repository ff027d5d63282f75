// Score your own: how likely the network finds a sentence about the photograph.

import {html, nothing, repeat} from './vendor/lit.js';
import {call, curl} from './api.js';
import {alternatives, words} from './caption-view.js';
import {copyButton} from './part.js';
import {session} from './session.js';
import {percent} from './wording.js';

export function ownCaption(part) {
  const submit = async (event) => {
    event.preventDefault();
    const field = event.target.elements.text;
    const text = field.value.trim();
    if (!text) return;
    const image = session.photo.file;
    const score = await part.attempt((signal) => call('score', {form: {image, text, top_logprobs: 5}, signal}), 'own');
    if (!score || session.photo.file !== image) return;
    part.own = [{text, ...score, word: null}, ...part.own];
    if (field.value.trim() === text) field.value = '';  // the next one may have been begun
  };
  const best = part.result.captions[0];
  return html`<section class="own"><h2>Say it yourself</h2>
    <p class="hint">How likely does the network find your description? Its own first caption has
      ${best.mean_logprob.toFixed(2)} a word.</p>
    <form @submit=${submit}><label class="away" for="own-text">Your description</label>
      <input id="own-text" name="text" maxlength="1000" autocomplete="off" placeholder="a dog that smiles at you">
      <button class="button" type="submit">Score</button></form>
    <div aria-live="polite">${repeat(part.own, (own) => own.request_id, (own) => html`<article class="scored">
      ${words(own.tokens, {label: 'Your words', chosen: own.word,
    choose: (i) => { own.word = i; part.requestUpdate(); }})}
      ${own.word === null ? nothing : alternatives(own.tokens[own.word])}
      <p class="number">logprob ${own.logprob.toFixed(2)}, ${percent(Math.exp(own.logprob))} ·
        ${own.mean_logprob.toFixed(2)} a word:
        ${compare(own.mean_logprob, best.mean_logprob)}
        ${own.word === null ? nothing : html`· <b>${own.tokens[own.word].token}</b> ${percent(Math.exp(own.tokens[own.word].logprob))}`}
        ${copyButton('Copy as curl', () => curl('score', {form: {image: session.photo.file, text: own.text}}))}</p>
    </article>`)}</div></section>`;
}

function compare(own, best) {
  if (own > best + 0.02) return 'likelier than its own caption';
  if (own > best - 0.3) return 'about as likely as its own caption';
  return own > best - 1.5 ? 'less likely than its own caption' : 'far less likely than its own caption';
}
