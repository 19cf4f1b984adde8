// Axes, ticks, color bar and legend, drawn around the picture on the same canvas.

const MARGIN = { left: 56, right: 78, top: 10, bottom: 42 };

function ticks(low, high, wanted) {
  const raw = (high - low) / Math.max(wanted, 1);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 5, 10].find((m) => m * power >= raw * 0.999) || 10);
  const places = [];
  const first = Math.ceil(low / step - 1e-9);
  for (let k = first; k * step <= high + step * 1e-9 && places.length < 60; k++) places.push(k * step);
  return { places, step };
}

function shown(value, step) {
  const digits = Math.max(0, Math.min(12, -Math.floor(Math.log10(step) + 1e-9)));
  const large = Math.abs(value) >= 1e5 || digits > 5;
  return (large ? value.toExponential(2) : value.toFixed(digits)).replace("-", "−");
}

// A number for the color bar: three digits that count.
function brief(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-3) return value.toExponential(1).replace("-", "−");
  if (size >= 1000) return counted(Math.round(value));
  return String(Number(value.toPrecision(3))).replace("-", "−");
}

function clipped(context, text, most) {
  if (context.measureText(text).width <= most) return text;
  let kept = text;
  while (kept.length > 1 && context.measureText(kept + "…").width > most) kept = kept.slice(0, -1);
  return kept + "…";
}

function drawAxes(context, box, view, labels, theme) {
  const [x0, x1, y0, y1] = view;
  const across = ticks(x0, x1, box.width / 90);
  const up = ticks(y0, y1, box.height / 60);
  context.lineWidth = 1;
  context.strokeStyle = theme.line;
  context.strokeRect(box.x - 0.5, box.y - 0.5, box.width + 1, box.height + 1);
  context.fillStyle = theme.faint;
  context.font = `11px ${theme.font}`;
  context.textAlign = "center";
  context.textBaseline = "top";
  context.beginPath();
  for (const value of across.places) {
    const x = Math.round(box.x + ((value - x0) / (x1 - x0)) * box.width) + 0.5;
    context.moveTo(x, box.y + box.height);
    context.lineTo(x, box.y + box.height + 4);
    context.fillText(shown(value, across.step), x, box.y + box.height + 7);
  }
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const value of up.places) {
    const y = Math.round(box.y + (1 - (value - y0) / (y1 - y0)) * box.height) + 0.5;
    context.moveTo(box.x - 4, y);
    context.lineTo(box.x, y);
    context.fillText(shown(value, up.step), box.x - 7, y);
  }
  context.stroke();
  context.fillStyle = theme.text;
  context.font = `12px ${theme.font}`;
  context.textAlign = "center";
  context.textBaseline = "bottom";
  context.fillText(clipped(context, labels[0], box.width), box.x + box.width / 2, box.y + box.height + 38);
  context.save();
  context.translate(12, box.y + box.height / 2);
  context.rotate(-Math.PI / 2);
  context.textBaseline = "middle";
  context.fillText(clipped(context, labels[1], box.height), 0, 0);
  context.restore();
}

function drawScale(context, box, frame, palette, theme, ground) {
  const x = box.x + box.width + 12;
  if (frame.how === "category") return drawLegend(context, box, frame, ground);
  if (!frame.n_visible) return;
  const table = lookup(frame, palette, ground);
  const height = Math.min(220, box.height - 40);
  const top = box.y + 8;
  for (let k = 0; k < height; k++) {
    const color = table[1 + Math.round(254 * (1 - k / (height - 1)))];
    context.fillStyle = `rgb(${color.map(Math.round).join(",")})`;
    context.fillRect(x, top + k, 12, 1.5);
  }
  context.strokeStyle = theme.line;
  context.strokeRect(x - 0.5, top - 0.5, 13, height + 1);
  context.fillStyle = theme.faint;
  context.font = `11px ${theme.font}`;
  context.textAlign = "left";
  context.textBaseline = "middle";
  const log = frame.how === "log";
  const low = log ? Math.log(frame.low) : frame.low;
  const high = log ? Math.log(frame.high) : frame.high;
  let marks = high > low ? ticks(low, high, height / 45).places : [low];
  if (log) {
    const decades = [];
    for (let power = Math.ceil(Math.log10(frame.low) - 1e-9); 10 ** power <= frame.high * 1.0001; power++) {
      for (const m of frame.high / frame.low < 200 ? [1, 2, 5] : [1]) if (m * 10 ** power <= frame.high * 1.0001) decades.push(Math.log(m * 10 ** power));
    }
    marks = (decades.length > 1 ? decades : [low, high]).filter((mark) => !frame.exact || mark > -1e-9);
  }
  for (const mark of marks) {
    const y = top + height * (1 - (high > low ? (mark - low) / (high - low) : 0.5));
    context.fillText(brief(log ? Math.exp(mark) : Number(mark.toPrecision(12))), x + 17, Math.min(Math.max(y, top + 4), top + height - 2));
  }
  context.save();
  context.translate(x + 50, top + height / 2);
  context.rotate(-Math.PI / 2);
  context.textAlign = "center";
  context.fillStyle = theme.text;
  context.fillText(clipped(context, log ? "galaxies per pixel" : frame.label, height + 60), 0, 0);
  context.restore();
}

// Category names lie in the picture's corner, where there is room for long ones.
function drawLegend(context, box, frame, theme) {
  context.font = `11px ${theme.font}`;
  const most = Math.min(200, box.width / 3);
  const rows = Math.max(1, Math.floor((box.height - 40) / 17));
  const names = frame.categories.slice(0, rows).map((name) => clipped(context, name, most));
  const title = clipped(context, frame.label, most + 14);
  const wide = Math.max(context.measureText(title).width, ...names.map((name) => context.measureText(name).width + 15)) + 16;
  const x = box.x + box.width - wide - 6;
  context.fillStyle = `rgba(${theme.ground.join(",")},0.82)`;
  context.fillRect(x, box.y + 6, wide, 26 + 17 * names.length);
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.fillStyle = theme.text;
  context.fillText(title, x + 8, box.y + 18);
  names.forEach((name, k) => {
    const y = box.y + 36 + 17 * k;
    context.fillStyle = OKABE_ITO[k % OKABE_ITO.length];
    context.beginPath();
    context.arc(x + 13, y, 5, 0, 2 * Math.PI);
    context.fill();
    context.fillStyle = theme.text;
    context.fillText(name, x + 23, y);
  });
}
