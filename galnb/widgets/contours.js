// Contours over the map: boundaries of the regions that hold a share of the galaxies, with their level in nats.

const STROKES = [{ width: 2.5 }, { width: 1.75 }, { width: 1.5, dash: [6, 4] }];

// One message: shares, levels, and how many points each line of each level has; the points are in one buffer.
function contoursOf(message, buffers) {
  if (!message.counts.length) return null;
  const bytes = buffers[0];
  const points = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  let at = 0;
  const lines = message.counts.map((counts) => counts.map((count) => points.subarray(2 * at, 2 * (at += count))));
  return { ...message, lines };
}

function drawContours(context, map, theme) {
  drawPlace(context, map, theme);
  const { contours } = map;
  if (!contours || map.hideContours || contours.plane !== map.state.plane) return;
  const ink = theme.dark ? "#fff" : "#111";
  const halo = theme.dark ? "rgba(0,0,0,0.55)" : "rgba(255,255,255,0.65)";
  const taken = [];
  contours.lines.forEach((lines, k) => {
    const style = STROKES[Math.min(k, STROKES.length - 1)];
    const path = new Path2D();
    for (const line of lines) {
      for (let i = 0; i < line.length; i += 2) {
        const [x, y] = map.toPixel([line[i], line[i + 1]]);
        if (i) path.lineTo(x, y);
        else path.moveTo(x, y);
      }
    }
    context.lineJoin = "round";
    context.setLineDash([]);
    context.strokeStyle = halo;
    context.lineWidth = style.width + 2.5;
    context.stroke(path);
    context.setLineDash(style.dash || []);
    context.strokeStyle = ink;
    context.lineWidth = style.width;
    context.stroke(path);
    context.setLineDash([]);
  });
  contours.lines.forEach((lines, k) => label(context, map, theme, lines, contours, k, taken));
}

// Words on a line, where it lies farthest out in a direction in which there is room.
function label(context, map, theme, lines, contours, k, taken) {
  const text = `${Math.round(1000 * contours.shares[k]) / 10} % · ${contours.levels[k].toFixed(1).replace("-", "−")} nats`;
  context.font = `600 12px ${theme.font}`;
  const wide = context.measureText(text).width + 10;
  const points = [];
  for (const line of lines) for (let i = 0; i < line.length; i += 6) points.push(map.toPixel([line[i], line[i + 1]]));
  const { box } = map;
  const inside = points.filter(([x, y]) => x > box.x + wide / 2 && x < box.x + box.width - wide / 2 && y > box.y + 12 && y < box.y + box.height - 12);
  const turns = [[180, 0, -90], [-90, -60, -120], [90, 70, 110]][Math.min(k, 2)]; // one side each, so that none hide others
  for (const turn of [...turns, 110, 70, 150, 30, -60, -110, 180, 0]) {
    const [a, b] = [Math.cos((turn * Math.PI) / 180), -Math.sin((turn * Math.PI) / 180)];
    let best = null;
    for (const point of inside) if (!best || point[0] * a + point[1] * b > best[0] * a + best[1] * b) best = point;
    if (!best) return;
    const [x, y] = best;
    if (taken.some(([u, v, w]) => Math.abs(u - x) < (w + wide) / 2 + 4 && Math.abs(v - y) < 22)) continue;
    taken.push([x, y, wide]);
    context.fillStyle = theme.dark ? "rgba(0,0,0,0.78)" : "rgba(255,255,255,0.88)";
    context.beginPath();
    context.roundRect(x - wide / 2, y - 10, wide, 20, 4);
    context.fill();
    context.fillStyle = theme.dark ? "#fff" : "#111";
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText(text, x, y + 0.5);
    return;
  }
}

// The place from which one would draw, where it is not a lasso: [x, y, rx, ry].
function drawPlace(context, map, theme) {
  if (!map.state.place) return;
  const [x, y, rx, ry] = map.state.place;
  const [px, py] = map.toPixel([x, y]);
  const [qx, qy] = map.toPixel([x + rx, y + ry]);
  context.beginPath();
  context.ellipse(px, py, Math.abs(qx - px), Math.abs(qy - py), 0, 0, 2 * Math.PI);
  context.setLineDash([5, 4]);
  context.lineWidth = 1.5;
  context.strokeStyle = theme.dark ? "#fff" : "#111";
  context.stroke();
  context.setLineDash([]);
}
