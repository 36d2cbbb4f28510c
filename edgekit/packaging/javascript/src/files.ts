/** The files of a package for the web, and how they are loaded. */

import type { Contract } from "./types.js";

/** A file of the package. `integrity` is what `fetch` and HTML call so: `sha256-` and the hash in base64. */
export interface PackagedFile {
  readonly url: URL;
  readonly integrity: string;
}

export interface WebContract extends Contract {
  readonly files: {
    readonly model: PackagedFile;
    /** Weights beside the model's file, by the path it names them with. */
    readonly externalData: Readonly<Record<string, PackagedFile>>;
    readonly example: PackagedFile;
  };
}

/** Bytes of a file, or where to fetch it from instead of from the package. */
export type FileSource = ArrayBuffer | Uint8Array | URL | string;

export interface LoadOptions {
  /** Where the runtime's own files are served, as a folder. By default where the runtime looks for them. */
  readonly runtimeUrl?: URL | string;
  /** Instead of the threads that were measured. More than one needs a page that is cross-origin isolated. */
  readonly threads?: number;
  /** The model, when it is not fetched from beside this module. Bytes are taken as they are, not compared with the package. */
  readonly model?: FileSource;
  /** The stored example, likewise. */
  readonly example?: FileSource;
}

/**
 * The bytes of a file of the package. What is fetched is compared with the hash in the package; another file is refused.
 *
 * @throws TypeError when it cannot be fetched or is not the packaged file.
 */
export async function fetchBytes(file: PackagedFile, instead?: FileSource): Promise<ArrayBuffer> {
  if (instead instanceof ArrayBuffer) return instead;
  if (instead instanceof Uint8Array) return new Uint8Array(instead).buffer;
  const url = instead ?? file.url;
  const response = await fetch(url, { integrity: file.integrity });
  if (!response.ok) throw new TypeError(`${url} could not be fetched: ${response.status} ${response.statusText}`);
  return response.arrayBuffer();
}
