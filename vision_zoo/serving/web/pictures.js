// Pictures from files, the clipboard and the camera, as canvas pixels.

const MAX_PIXELS = 64_000_000;

/** A picture file upright, its colours as they are stored, as `ImageData`. */
async function decoded(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: "none", imageOrientation: "from-image" });
  } catch {
    throw new ImageError(`${file.name || "This"} is no picture that this browser can read; expected PNG, JPEG, WebP, GIF or BMP`);
  }
  if (bitmap.width * bitmap.height > MAX_PIXELS) {
    throw new ImageError(`${file.name || "The picture"} has more than 64 million pixels; make it smaller`);
  }
  return pixelsOf(bitmap, bitmap.width, bitmap.height);
}

/** What is drawn of `source` on a canvas of that size; the largest square in the middle of a video. */
function pixelsOf(source, width, height, ...place) {
  const canvas = new OffscreenCanvas(width, height), context = canvas.getContext("2d", { willReadFrequently: true });
  if (place.length) context.drawImage(source, ...place, 0, 0, width, height);
  else context.drawImage(source, 0, 0);
  return context.getImageData(0, 0, width, height);
}

const CAMERA_SIDE = 480;

/** What the camera sees, as the page shows it: the square in the middle. */
function snapshot(video) {
  const { videoWidth: w, videoHeight: h } = video, side = Math.min(w, h);
  return pixelsOf(video, CAMERA_SIDE, CAMERA_SIDE, (w - side) / 2, (h - side) / 2, side, side);
}
