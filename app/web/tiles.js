// All units at once: a strip of colour for each, in columns.

const [WIDTH, HEIGHT, GAP] = [120, 10, 3];

const layout = (canvas, count) => {
  const columns = Math.max(2, Math.floor(canvas.clientWidth / (WIDTH + GAP)));
  return {columns, rows: Math.ceil(count / columns)};
};

/** Draw `count` units, of which `chosen` has a frame. `units`: number -> {activations}. */
export function drawTiles(canvas, units, count, chosen) {
  const {columns, rows} = layout(canvas, count);
  const cell = canvas.clientWidth / columns;
  const scale = devicePixelRatio;
  canvas.style.height = `${rows * (HEIGHT + GAP)}px`;
  canvas.width = canvas.clientWidth * scale;
  canvas.height = rows * (HEIGHT + GAP) * scale;
  const context = canvas.getContext('2d');
  context.scale(scale, scale);
  const style = getComputedStyle(canvas);
  const colours = [style.getPropertyValue('--minus'), style.getPropertyValue('--plus')];
  for (let unit = 0; unit < count; unit += 1) {
    const left = (unit % columns) * cell;
    const top = Math.floor(unit / columns) * (HEIGHT + GAP);
    const {activations} = units.get(unit);
    const pixels = Math.floor(cell - GAP);
    for (let x = 0; x < pixels; x += 1) {
      const value = activations[Math.floor(x * activations.length / pixels)];
      context.globalAlpha = Math.abs(value);
      context.fillStyle = colours[value > 0 ? 1 : 0];
      context.fillRect(left + x, top, 1, HEIGHT);
    }
    context.globalAlpha = 1;
    if (unit === chosen) {
      context.strokeStyle = style.color;
      context.lineWidth = 2;
      context.strokeRect(left - 1, top - 1, pixels + 2, HEIGHT + 2);
    }
  }
}

/** The unit under the pointer. */
export function tileAt(event, count) {
  const {columns} = layout(event.target, count);
  const column = Math.floor(event.offsetX / (event.target.clientWidth / columns));
  return Math.min(count - 1, Math.floor(event.offsetY / (HEIGHT + GAP)) * columns + column);
}
