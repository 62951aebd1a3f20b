// From a file to what the network sees, as dotcount reads it: upright, RGB, on white, resized like Pillow does.

// Return {width, height, data: Uint8ClampedArray of r, g, b, bitmap, notes} of an image file.
export async function readPhoto(file) {
  const start = new Uint8Array(await file.slice(0, 64).arrayBuffer());
  const notes = check(start);
  let bitmap;
  try {
    const plain = { imageOrientation: "from-image", colorSpaceConversion: "none", premultiplyAlpha: "default" };
    bitmap = await createImageBitmap(file, plain);
  } catch {
    throw new Error("This browser can't read the file as an image; convert it to PNG or JPEG.");
  }
  const { width, height } = bitmap;
  if (width * height > 100e6) throw new Error("The image has more than 100 million pixels; cut it into tiles.");
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  const rgba = context.getImageData(0, 0, width, height).data;
  const data = new Uint8ClampedArray(3 * width * height);
  for (let k = 0, j = 0; k < rgba.length; k += 4) {
    data[j++] = rgba[k];
    data[j++] = rgba[k + 1];
    data[j++] = rgba[k + 2];
  }
  return { width, height, data, bitmap, notes };
}

// Refuse what a browser would reduce to 8 bits or can't read; return what a person should know.
function check(start) {
  const text = String.fromCharCode(...start);
  if (text.startsWith("\x89PNG") && start[24] === 16) {
    throw new Error("A PNG of 16 bits, which browsers reduce to 8; count it with `dotcount predict`.");
  }
  if (/^(II\*\0|MM\0\*|II\+\0|MM\0\+)/.test(text)) {
    throw new Error("A TIFF, which browsers can't read; convert it to PNG or count it with `dotcount predict`.");
  }
  return /^GIF8/.test(text) ? ["of an animation the first picture is counted"] : [];
}

// Return the [width, height] of a photo after the model's rule; see dotcount.resize.ResizeRule.
export function resizedSize(rule, width, height) {
  const [shorter, longer] = [Math.min(width, height), Math.max(width, height)];
  let scale = 1;
  if (rule.min_side !== null) scale = Math.max(scale, rule.min_side / shorter);
  if (rule.max_short_side !== null) scale = Math.min(scale, rule.max_short_side / shorter);
  if (rule.max_side !== null) scale = Math.min(scale, rule.max_side / longer);
  if (rule.magnify !== null) scale *= rule.magnify;
  if (scale === 1) return [width, height];
  return [width, height].map((side) => Math.max(1, roundEven(side * scale)));
}

// Python rounds halves to even.
function roundEven(value) {
  const low = Math.floor(value);
  return value - low === 0.5 ? low + (low % 2) : Math.round(value);
}

// Resample r, g, b with Pillow's antialiased bilinear filter, in its fixed-point arithmetic: across, then down.
export function resize({ data, width, height }, toWidth, toHeight) {
  if (width === toWidth && height === toHeight) return { data, width, height };
  const across = width === toWidth ? data : pass(data, coefficients(width, toWidth), height, toWidth, 3, 3 * width, 3 * toWidth);
  const down = height === toHeight ? across : pass(across, coefficients(height, toHeight), toWidth, toHeight, 3 * toWidth, 3, 3);
  return { data: down, width: toWidth, height: toHeight };
}

const UNIT = 2 ** 22;

function coefficients(from, to) {
  const scale = from / to;
  const filter = Math.max(scale, 1);
  const found = [];
  for (let k = 0; k < to; k++) {
    const center = (k + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - filter + 0.5));
    const end = Math.min(from, Math.trunc(center + filter + 0.5));
    const weights = [];
    for (let j = first; j < end; j++) weights.push(Math.max(0, 1 - Math.abs((j - center + 0.5) / filter)));
    const sum = weights.reduce((a, b) => a + b, 0);
    found.push({ first, weights: weights.map((weight) => Math.trunc(0.5 + (weight / sum) * UNIT)) });
  }
  return found;
}

function pass(data, table, lines, to, step, jump, outJump) {
  const out = new Uint8ClampedArray(3 * lines * to);
  for (let line = 0; line < lines; line++) {
    for (let k = 0; k < to; k++) {
      const { first, weights } = table[k];
      for (let band = 0; band < 3; band++) {
        let sum = UNIT / 2;
        for (let j = 0; j < weights.length; j++) sum += data[line * jump + (first + j) * step + band] * weights[j];
        out[line * outJump + k * step + band] = Math.max(0, Math.min(255, Math.floor(sum / UNIT)));
      }
    }
  }
  return out;
}
