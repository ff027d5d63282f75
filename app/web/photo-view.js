// The photograph, and over it where the network looked.

import {html, ref} from './vendor/lit.js';
import {place} from './wording.js';

/** Darken what the network did not look at. Weights are (rows, columns), and cover the picture. */
function drawAttention(canvas, grid, {width, height}) {
  const [rows, columns] = [grid.length, grid[0].length];
  const most = Math.max(...grid.flat());
  const small = new OffscreenCanvas(columns, rows);
  const pixels = new ImageData(columns, rows);
  grid.flat().forEach((weight, i) => {
    pixels.data[4 * i + 3] = 205 * (1 - Math.sqrt(weight / most));
  });
  small.getContext('2d').putImageData(pixels, 0, 0);
  // As large as the picture is in proportion: `object-fit` then puts one exactly over the other.
  const scale = 400 / Math.max(width, height);
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const context = canvas.getContext('2d');
  context.imageSmoothingQuality = 'high';
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
}

export function photoView(photo, {alt, size, grid = null, word = ''}) {
  const draw = (canvas) => { if (canvas && grid) drawAttention(canvas, grid, size); };
  const unreadable = ({target}) => target.closest('figure').classList.add('unseen');
  return html`<figure class="photo">
    <div class="frame">
      <img src=${photo.url} alt=${alt} decoding="async" @error=${unreadable}
        @load=${({target}) => target.closest('figure').classList.remove('unseen')}>
      <canvas class=${grid ? 'attention on' : 'attention'} aria-hidden="true" ${ref(draw)}></canvas>
      <p class="instead">Your browser cannot show ${photo.file.name}; the service can read it.</p>
    </div>
    <figcaption>${grid && word
      ? html`Where it looked for <b>${word}</b>: ${place(grid)}`
      : photo.file.name}</figcaption>
  </figure>`;
}
