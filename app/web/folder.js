// Many photographs: a table of captions to edit, and to take away.

import {html, nothing} from './vendor/lit.js';
import {caption} from './api.js';
import {errorBox} from './part.js';
import {percent} from './wording.js';
import {zip} from './zip.js';

const IN_FLIGHT = 3;

/** Caption the files, a few at a time; each row gets its `text` and `confidence`, or an `error`. */
async function captionAll(part, rows) {
  const waiting = [...rows];
  const worker = async () => {
    while (waiting.length && part.rows === rows) {
      const row = waiting.shift();
      try {
        const {captions: [best]} = await caption(row.file, {});
        row.text = best.alt_text;
        row.confidence = best.confidence;
      } catch (error) {
        if (error.status === 429 || error.status === 503) {
          waiting.push(row);
          await new Promise((resolve) => setTimeout(resolve, 1000 * (error.retryAfter ?? 1)));
          continue;
        }
        row.error = error.message;
      }
      part.requestUpdate();
    }
  };
  await Promise.all(Array.from({length: IN_FLIGHT}, worker));
}

export function folderTable(part) {
  if (part.rowsOf !== part.files) {
    part.rows?.forEach((row) => URL.revokeObjectURL(row.url));
    part.rowsOf = part.files;
    part.rows = part.files.map((file) => ({file, url: URL.createObjectURL(file)}));
    captionAll(part, part.rows);
  }
  const {rows} = part;
  const done = rows.filter((row) => row.text !== undefined || row.error).length;
  return html`<section class="folder">
    <h2>${rows.length} photographs</h2>${errorBox(part.error)}
    <p aria-live="polite">${done < rows.length ? `${done} of ${rows.length} described …` : 'All are described. Correct what is wrong; the least sure are marked.'}</p>
    <p class="actions">
      <button type="button" class="button" ?disabled=${done < rows.length} @click=${() => download('captions.csv', csv(rows))}>Download CSV</button>
      <button type="button" class="button second" ?disabled=${done < rows.length} @click=${() => download('captions.zip', sidecars(rows))}>Download a text file for each (zip)</button>
      <button type="button" class="quiet" @click=${() => close(part)}>Close</button></p>
    <div class="scroll-x"><table class="rows"><thead><tr><th scope="col">photograph</th>
      <th scope="col">description</th><th scope="col">confidence</th></tr></thead>
    <tbody>${rows.map((row, i) => html`<tr class=${row.confidence < 0.35 ? 'poor' : ''}>
      <th scope="row"><button type="button" class="look" @click=${() => part.open([row.file])}><img src=${row.url} alt="" width="72" height="54">
        <span>${row.file.name}</span></button></th>
      <td>${row.error ? html`<span class="error">${row.error}</span>` : html`<textarea rows="2"
        aria-label="Description of ${row.file.name}" .value=${row.text ?? ''} ?disabled=${row.text === undefined}
        @input=${({target}) => { rows[i].text = target.value; rows[i].edited = true; }}></textarea>`}</td>
      <td class="number">${row.confidence === undefined ? nothing : percent(row.confidence)}</td></tr>`)}</tbody></table></div>
  </section>`;
}

function close(part) {
  part.rows?.forEach((row) => URL.revokeObjectURL(row.url));
  Object.assign(part, {files: null, table: false, rows: null, rowsOf: null});
}

/** A cell of CSV; one that a spreadsheet would take for a formula starts with an apostrophe. */
function cell(value) {
  const text = String(value ?? '');
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function csv(rows) {
  const lines = [['file', 'description', 'confidence', 'edited', 'error'],
    ...rows.map((row) => [row.file.name, row.text, row.confidence, row.edited ? 'yes' : '', row.error])];
  return new Blob([lines.map((line) => line.map(cell).join(',')).join('\r\n'), '\r\n'], {type: 'text/csv'});
}

/** A text file beside each photograph, with its name. */
function sidecars(rows) {
  const texts = {};
  for (const row of rows.filter((one) => one.text)) {
    const name = row.file.name.replace(/\.[^.]*$/, '');
    texts[`${name}.txt` in texts ? `${row.file.name}.txt` : `${name}.txt`] = `${row.text}\n`;
  }
  return zip(texts);
}

function download(name, blob) {
  const link = Object.assign(document.createElement('a'), {href: URL.createObjectURL(blob), download: name});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
