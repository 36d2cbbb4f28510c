/** Encoded pictures in a browser. */

import type { Picture } from "./preprocess.js";

/**
 * The pixels of an encoded picture, turned by its EXIF orientation if `applyExif`; colour profiles are not applied. Browsers drop what
 * is under transparent pixels, and their JPEG decoders differ from others by a level or two.
 *
 * @throws DOMException when the browser cannot decode it.
 */
export async function decode(encoded: Blob, applyExif: boolean): Promise<Picture> {
  const bitmap = await createImageBitmap(encoded, {
    imageOrientation: applyExif ? "from-image" : "none",
    premultiplyAlpha: "none",
    colorSpaceConversion: "none",
  });
  const { height, width } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  if (context === null) throw new Error("this browser gives no 2D canvas");
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return { data: context.getImageData(0, 0, width, height).data, height, width };
}
