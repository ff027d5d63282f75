// Puts the parts together: which one is shown, and whether the service answers.

import './describe.js';
import './beam.js';
import './write.js';
import './cells.js';
import './steps.js';
import './status.js';
import {events, meetCaptioner, watch} from './api.js';

const PARTS = ['describe', 'beam', 'write', 'cells', 'steps', 'status'];

function show() {
  const name = location.hash.slice(1);
  if (name === 'main') return;
  const chosen = PARTS.includes(name) ? name : 'describe';
  for (const part of PARTS) {
    const element = document.getElementById(`${part}-part`);
    element.hidden = part !== chosen;
    if (part === chosen) element.opened?.();
    const link = document.querySelector(`nav a[href="#${part}"]`);
    if (part === chosen) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.title = `${document.querySelector('nav [aria-current]').textContent} · Unrolled`;
}

const CONNECTION = {
  connecting: '',
  ready: '',
  loading: 'The service is loading its models …',
  lost: 'The service does not answer. This page goes on as soon as it is back.',
};

events.addEventListener('connection', ({detail}) => {
  const bar = document.getElementById('connection');
  bar.textContent = CONNECTION[detail];
  bar.dataset.state = detail;
  if (detail !== 'ready') return;
  // It may be another one since the service was started anew.
  meetCaptioner().catch(() => {});  // is asked again when it is needed
  document.querySelector('main > :not([hidden])').opened?.();
});
addEventListener('hashchange', () => {
  show();
  scrollTo(0, 0);
});
show();
watch();
