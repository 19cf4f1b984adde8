// One picture of the map: frame, galaxies, outline, markers, crosshair, axes.

// The sheet of galaxies, each faded out towards a circle, so that they float on the map's black ground.
async function cutOut(buffer, message) {
  const image = await createImageBitmap(new Blob([buffer], { type: "image/jpeg" }));
  const size = message.size;
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  context.globalCompositeOperation = "destination-in";
  const stamp = new OffscreenCanvas(size, size);
  const soft = stamp.getContext("2d");
  const fade = soft.createRadialGradient(size / 2, size / 2, size * 0.3, size / 2, size / 2, size * 0.5);
  fade.addColorStop(0, "rgba(0,0,0,1)");
  fade.addColorStop(1, "rgba(0,0,0,0)");
  soft.fillStyle = fade;
  soft.fillRect(0, 0, size, size);
  context.fillStyle = context.createPattern(stamp, "repeat");
  context.fillRect(0, 0, image.width, image.height);
  return { canvas, size, columns: message.columns, shown: message.gap * 1.3 }; // edges are faded, so they may overlap
}

function drawMap(context, map, theme) {
  const { box, view } = map;
  if (!box || !view) return;
  const ratio = context.canvas.width / context.canvas.clientWidth || 1;
  const ground = map.ground();
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, context.canvas.width, context.canvas.height);
  context.save();
  context.beginPath();
  context.rect(box.x, box.y, box.width, box.height);
  context.clip();
  context.fillStyle = `rgb(${ground.ground.join(",")})`;
  context.fillRect(box.x, box.y, box.width, box.height);
  drawFrame(context, map);
  if (map.showPictures) drawPictures(context, map, theme);
  drawContours(context, map, ground);
  drawOutline(context, map, ground);
  drawMarker(context, map, ground);
  context.restore();
  drawAxes(context, box, view, map.state.axes || ["", ""], theme);
  if (map.frame) drawScale(context, box, map.frame, map.paletteOf(), theme, ground);
}

function drawFrame(context, map) {
  if (!map.bitmap) return;
  const [left, top] = map.toPixel([map.frame.view[0], map.frame.view[3]]);
  const [right, bottom] = map.toPixel([map.frame.view[1], map.frame.view[2]]);
  const exact = Math.abs(right - left - map.box.width) < 0.01;
  context.imageSmoothingEnabled = !exact;
  context.globalAlpha = map.showPictures && map.pictures.length ? 0.7 : 1;
  if (exact) context.drawImage(map.bitmap, Math.round(left), Math.round(top), map.box.width, map.box.height);
  else context.drawImage(map.bitmap, left, top, right - left, bottom - top);
  context.globalAlpha = 1;
}

function drawPictures(context, map, theme) {
  if (!map.sheet) return;
  const { canvas, size, columns, shown } = map.sheet;
  const choosing = map.state.n_selected > 0;
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  map.pictures.forEach(([x, y, , selected], k) => {
    const [px, py] = map.toPixel([x, y]);
    const half = shown / 2;
    if (px < map.box.x - half || py < map.box.y - half || px > map.box.x + map.box.width + half || py > map.box.y + map.box.height + half) return;
    const source = [(k % columns) * size, Math.floor(k / columns) * size, size, size];
    context.globalAlpha = choosing && !selected ? 0.25 : 1;
    context.drawImage(canvas, ...source, px - half, py - half, shown, shown);
    if (choosing && selected) {
      context.beginPath();
      context.arc(px, py, half - 3, 0, 2 * Math.PI);
      context.strokeStyle = `rgb(${theme.accent.join(",")})`;
      context.lineWidth = 1.5;
      context.stroke();
    }
  });
  context.globalAlpha = 1;
}

function drawOutline(context, map, theme) {
  const drawing = map.path;
  const points = drawing ? drawing.points : map.state.polygon;
  if (!points || points.length < 2) return;
  let corners = points;
  if (drawing && drawing.shape === "box") {
    const [a, b] = [points[0], points[points.length - 1]];
    corners = [a, [b[0], a[1]], b, [a[0], b[1]]];
  }
  context.beginPath();
  corners.forEach((point, k) => {
    const [px, py] = map.toPixel(point);
    if (k) context.lineTo(px, py);
    else context.moveTo(px, py);
  });
  context.closePath();
  const accent = theme.accent.join(",");
  const takes = drawing && drawing.mode === "subtract";
  context.lineWidth = drawing ? 2 : 1;
  context.setLineDash(takes ? [3, 4] : drawing ? [] : [5, 4]);
  context.strokeStyle = `rgba(${accent},${drawing ? 1 : 0.65})`;
  if (drawing) {
    context.fillStyle = `rgba(${accent},${takes ? 0.05 : 0.14})`;
    context.fill("evenodd");
  }
  context.stroke();
  context.setLineDash([]);
}

function drawMarker(context, map, theme) {
  const ring = (draw) => {
    context.strokeStyle = theme.dark ? "#000" : "#fff";
    context.lineWidth = 5;
    draw();
    context.strokeStyle = theme.dark ? "#fff" : "#111";
    context.lineWidth = 2;
    draw();
  };
  if (map.state.where) {
    const [x, y] = map.toPixel(map.state.where);
    const pictured = map.showPictures && map.sheet && map.state.picked !== null && map.pictures.some((p) => p[0] === map.state.where[0] && p[1] === map.state.where[1]);
    const radius = pictured ? map.sheet.shown / 2 - 2 : 8;
    ring(() => {
      context.beginPath();
      if (map.state.picked !== null) context.arc(x, y, radius, 0, 2 * Math.PI);
      else for (const [a, b] of [[1, 0], [0, 1], [-1, 0], [0, -1]]) context.moveTo(x + 3 * a, y + 3 * b), context.lineTo(x + 10 * a, y + 10 * b);
      context.stroke();
    });
  }
  if (map.cross && document.activeElement === context.canvas) {
    const [x, y] = map.cross;
    ring(() => {
      context.beginPath();
      context.moveTo(x - 9, y), context.lineTo(x + 9, y), context.moveTo(x, y - 9), context.lineTo(x, y + 9);
      context.stroke();
    });
  }
}
