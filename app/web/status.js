// Status: the models, what they run on, and how long the last requests took.

import {html, nothing} from './vendor/lit.js';
import {call, curl, events, recent} from './api.js';
import {Part, copyButton, errorBox} from './part.js';

class StatusPart extends Part {
  static properties = {models: {}, details: {}, service: {}, busy: {}, error: {}};

  constructor() {
    super();
    events.addEventListener('request', () => this.requestUpdate());
  }

  async opened() {
    const found = await this.attempt(async (signal) => {
      const [{models}, document] = await Promise.all([
        call('models', {signal}), call('openapi.json', {signal})]);
      const details = await Promise.all(models.map(({name}) => call(`models/${name}`, {signal})));
      return {models: details, service: document.info};
    });
    if (found) Object.assign(this, found);
  }

  render() {
    return html`<h1>Status</h1>${errorBox(this.error)}
      ${this.service ? html`<p>${this.service.title} ${this.service.version} answers at
        <code>${new URL('.', document.baseURI)}</code>. <a href="docs">Try its API</a>, or read
        <a href="redoc">its reference</a>.</p>` : html`<p class="hint">Asking the service …</p>`}
      <section class="sheet"><h2>Models</h2>${this.models ? this.table() : nothing}
        <p class="actions">${copyButton('Copy as curl', () => curl('models'))}</p></section>
      <section class="sheet"><h2>Last requests from this page</h2>${latencies()}</section>`;
  }

  table() {
    return html`<div class="scroll" tabindex="0" role="region" aria-label="Models"><table>
      <thead><tr><th scope="col">name</th><th scope="col">version</th><th scope="col">what</th>
        <th scope="col">parameters</th><th scope="col">device</th><th scope="col">in memory</th></tr></thead>
      <tbody>${this.models.map((model) => html`<tr><th scope="row">${model.name}</th>
        <td>${model.version}</td><td>${what(model)}</td>
        <td class="number">${amount(model.parameters)}</td><td>${model.device}</td>
        <td>${model.loaded ? 'yes' : 'on first use'}</td></tr>`)}</tbody></table></div>`;
  }
}

const amount = (n) => (n < 1e6 ? `${Math.round(n / 1e3)} k` : `${(n / 1e6).toFixed(1)} M`);

function what(model) {
  if (model.kind === 'captioner') return 'describes photographs';
  const {cell, layers, hidden_size: size} = model.network;
  return `writes, ${model.level} by ${model.level}: ${cell.toUpperCase()}, ${layers} ${layers === 1 ? 'layer' : 'layers'} of ${size}`;
}

function latencies() {
  if (!recent.length) return html`<p class="hint">None yet: describe a photograph, or let a model write.</p>`;
  const times = recent.map(({timing}) => timing.total).sort((a, b) => a - b);
  const middle = times[Math.floor(times.length / 2)];
  return html`<p>Half of the last ${recent.length} took the service at most ${Math.round(middle)} ms, the slowest
      ${Math.round(times.at(-1))} ms.</p>
    <div class="scroll" tabindex="0" role="region" aria-label="Last requests"><table>
    <thead><tr><th scope="col">time</th><th scope="col">request</th><th scope="col">in the browser</th>
      <th scope="col">in the service</th><th scope="col">of that</th></tr></thead>
    <tbody>${recent.slice(0, 20).map(({path, ms, timing, at}) => html`<tr><td class="number">${at.toLocaleTimeString('en-GB')}</td>
      <th scope="row">${path}</th><td class="number">${Math.round(ms)} ms</td>
      <td class="number">${Math.round(timing.total)} ms</td>
      <td class="number">${Object.entries(timing).filter(([name]) => name !== 'total')
    .map(([name, value]) => `${name} ${Math.round(value)}`).join(', ')}</td></tr>`)}</tbody></table></div>`;
}

customElements.define('status-part', StatusPart);
