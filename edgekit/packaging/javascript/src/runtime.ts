/** What a runtime has to do for a package: take tensors by the packaged file's names, give tensors by its names. */

import type { Contract, PackagedFile, Tensor } from "./types.js";

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

export interface Runtime {
  /** Threads in force: 1 where the page may not have more. */
  readonly threads: number;
  run(inputs: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>>;
  close(): Promise<void>;
}

export type OpenRuntime = (contract: Contract, options: LoadOptions) => Promise<Runtime>;

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
