/** Encoded pictures in a browser. */
import type { Picture } from "./preprocess.js";
/**
 * The pixels of an encoded picture, turned by its EXIF orientation if `applyExif`; colour profiles are not applied. Browsers drop what
 * is under transparent pixels, and their JPEG decoders differ from others by a level or two.
 *
 * @throws DOMException when the browser cannot decode it.
 */
export declare function decode(encoded: Blob, applyExif: boolean): Promise<Picture>;
