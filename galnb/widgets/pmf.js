// What a network expects of one pixel: the probability of each level, band below band, and the level that it has.

const SPANS = [16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024, 4096, 65536];
const TAIL = 0.002; // of the probability, on each side, that may lie out of view

// Levels to show of several distributions (each level's share of its peak) with their true levels: [first, past the last].
function windowOf(shares, truths) {
  const levels = shares[0].length;
  let [low, high] = [Math.min(...truths), Math.max(...truths)];
  for (const one of shares) {
    const total = one.reduce((a, b) => a + b, 0);
    let [sum, k] = [0, 0];
    while ((sum += one[k]) < TAIL * total) k++;
    low = Math.min(low, k);
    [sum, k] = [0, levels - 1];
    while ((sum += one[k]) < TAIL * total) k--;
    high = Math.max(high, k);
  }
  const span = Math.min(levels, SPANS.find((size) => size >= 1.1 * (high - low + 1)) ?? levels);
  const middle = 4 * Math.round((low + high + 1) / 8); // in steps, so that the axis rests while the pointer moves
  const first = Math.min(Math.max(middle - span / 2, 0), levels - span);
  return [Math.min(first, low), Math.max(first + span, high + 1)];
}

// bands: names; shares: a typed array a band, 255 at its peak; peaks: the probability there; truths, logs: of the picture
function drawPmf(canvas, { bands, shares, peaks, truths, logs, whole }, theme) {
  const [wide, tall] = [canvas.clientWidth || 400, canvas.clientHeight || 300];
  const context = sharp(canvas, wide, tall);
  const [first, last] = whole ? [0, shares[0].length] : windowOf(shares, truths);
  const [left, right, below] = [48, 8, 36];
  const each = (tall - below) / bands.length;
  const x = (level) => left + ((level - first) / (last - first)) * (wide - left - right);
  const words = [];
  bands.forEach((band, k) => {
    const ground = Math.round((k + 1) * each) - 4;
    const roof = Math.round(k * each) + 24;
    const color = bandColor(k, bands.length, theme);
    const y = (share) => ground - (share / 255) * (ground - roof);
    context.fillStyle = color;
    for (let level = first; level < last; level++) {
      const [a, b] = [x(level), x(level + 1)];
      context.globalAlpha = level === truths[k] ? 1 : 0.5;
      context.fillRect(a, y(shares[k][level]), Math.max(b - a - ((b - a) > 3 ? 0.6 : 0), 0.6), ground - y(shares[k][level]));
    }
    context.globalAlpha = 1;
    context.strokeStyle = theme.line;
    context.lineWidth = 1;
    context.strokeRect(left - 0.5, roof - 0.5, wide - left - right + 1, ground - roof + 1);
    const at = (x(truths[k]) + x(truths[k] + 1)) / 2;
    context.strokeStyle = context.fillStyle = theme.text;
    context.lineWidth = 1.5;
    context.setLineDash([3, 2]);
    context.beginPath();
    context.moveTo(at, roof);
    context.lineTo(at, y(shares[k][truths[k]]) - 4);
    context.stroke();
    context.setLineDash([]);
    context.beginPath();
    context.arc(at, y(shares[k][truths[k]]), 3.5, 0, 2 * Math.PI);
    context.fill();
    const chance = Math.exp(logs[k]);
    context.textBaseline = "alphabetic";
    context.textAlign = "left";
    context.font = `600 13px ${theme.font}`;
    context.fillText(band, left, roof - 7);
    const far = context.measureText(band).width + 10;
    context.font = `12px ${theme.font}`;
    const numbers = `true level ${truths[k]}: p = ${chance >= 0.001 ? chance.toFixed(3) : chance.toExponential(1).replace("-", "−")}, ${(-logs[k]).toFixed(1)} nats`;
    context.fillText(numbers, left + far, roof - 7);
    context.fillStyle = theme.faint;
    context.textAlign = "right";
    context.fillText(peaks[k] >= 0.01 ? peaks[k].toFixed(2) : peaks[k].toPrecision(1), left - 5, roof + 8);
    context.fillText("0", left - 5, ground - 1);
    words.push(`${band}: ${numbers}`);
  });
  context.fillStyle = theme.faint;
  context.textAlign = "center";
  context.textBaseline = "top";
  const { places } = ticks(first, last, wide / 70);
  for (const value of places) if (Number.isInteger(value) && value < last) context.fillText(value, (x(value) + x(value + 1)) / 2, tall - below);
  context.fillStyle = theme.text;
  context.textBaseline = "bottom";
  context.fillText(`level of the pixel, 0 to ${shares[0].length - 1}`, (left + wide - right) / 2, tall - 1);
  context.save();
  context.translate(1, (tall - below) / 2);
  context.rotate(-Math.PI / 2);
  context.textBaseline = "top";
  context.fillText("probability", 0, 0);
  context.restore();
  return words.join("; ");
}

// Of three bands as they are shown, red, green and blue; told apart by all.
function bandColor(k, n, theme) {
  const name = (n === 3 ? ["#d55e00", "#009e73", "#0072b2"] : OKABE_ITO)[k % OKABE_ITO.length];
  return `rgb(${(theme.dark ? mix(rgb(name), [255, 255, 255], 0.28) : rgb(name)).map(Math.round).join(",")})`;
}
