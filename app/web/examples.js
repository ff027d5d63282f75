// The photographs that come with the page.

import {html, nothing} from './vendor/lit.js';

const folder = new URL('photographs/', import.meta.url);

export async function loadExamples() {
  const response = await fetch(new URL('credits.json', folder));
  return response.json();
}

/** Describe one; if another photograph is chosen before it is there, it comes too late. */
function choose(photo) {
  document.getElementById('describe-part').openLater(fetchExample(photo));
}

async function fetchExample({file}) {
  const blob = await (await fetch(new URL(file, folder))).blob();
  return new File([blob], file, {type: blob.type});
}

/** The columns of photographs, with headings of the level that fits where they stand. */
export function examples(gallery, level = 2) {
  if (!gallery) return html`<div class="examples"></div>`;
  return html`<div class="examples">
    ${gallery.columns.map((column) => html`<section>
      ${level === 2 ? html`<h2>${column.title}</h2>` : html`<h3>${column.title}</h3>`}<p class="hint">${column.note}</p>
      <div class="thumbnails">${column.photographs.map((photo) => html`<button type="button"
        @click=${() => choose(photo)}><img src=${new URL(photo.file, folder)}
        alt=${photo.alt} loading="lazy" width="160" height="107"></button>`)}</div></section>`)}
  </div>
  <details class="credits"><summary>Credits</summary><p>${gallery.licence}:
    ${gallery.columns.flatMap((column) => column.photographs).map((photo, i) => html`${i ? ', ' : nothing}${photo.credit}`)}.</p></details>`;
}
