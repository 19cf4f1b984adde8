// The distribution of log p on a canvas: what the density draws (filled), galaxies (line), and one galaxy (mark).

const nats = (value) => (Number.isFinite(value) ? value.toFixed(1).replace("-", "−") : "–");

function drawLikelihoods(canvas, histogram, at, theme) {
  const [wide, tall] = [canvas.clientWidth || 380, 92];
  const context = sharp(canvas, wide, tall);
  const { low, high, drawn, real } = histogram;
  const ground = tall - 18;
  const most = Math.max(...drawn, ...real);
  const x = (value) => 6 + ((value - low) / (high - low)) * (wide - 12);
  const steps = (values) => {
    const path = new Path2D();
    path.moveTo(x(low), ground);
    values.forEach((value, k) => {
      const height = ground - (value / most) * (ground - 20);
      for (const end of [k, k + 1]) path.lineTo(x(low + (end * (high - low)) / values.length), height);
    });
    path.lineTo(x(high), ground);
    return path;
  };
  context.fillStyle = "rgba(86, 180, 233, 0.45)";
  context.fill(steps(drawn));
  context.strokeStyle = theme.text;
  context.lineWidth = 1.5;
  context.stroke(steps(real));
  context.font = `11px ${theme.font}`;
  context.textAlign = "center";
  context.textBaseline = "alphabetic";
  context.fillStyle = theme.faint;
  const gap = [0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((size) => (high - low) / size <= 7) ?? 10 ** Math.ceil(Math.log10((high - low) / 7));
  for (let tick = Math.ceil(low / gap) * gap; tick <= high; tick += gap) context.fillText(nats(tick).replace(".0", ""), Math.min(Math.max(x(tick), 12), wide - 12), tall - 4);
  if (Number.isFinite(at)) {
    const place = Math.min(Math.max(x(at), 6), wide - 6);
    context.strokeStyle = context.fillStyle = "#d55e00";
    context.lineWidth = 2;
    context.beginPath();
    context.moveTo(place, 16);
    context.lineTo(place, ground);
    context.stroke();
    context.fillStyle = theme.text;
    const words = `${at < low ? "← " : ""}this one ${nats(at)}`;
    const half = context.measureText(words).width / 2 + 2;
    context.fillText(words, Math.min(Math.max(place, half), wide - half), 11);
  }
  canvas.setAttribute("aria-label", `Distribution of log p from ${nats(low)} to ${nats(high)} nats${Number.isFinite(at) ? `; this one at ${nats(at)}` : ""}`);
}
