/** What a runtime has to do for a package: take tensors by the packaged file's names, give tensors by its names. */

import type { Tensor } from "./types.js";

export interface Runtime {
  /** Threads in force; null where the runtime neither takes nor tells them. */
  readonly threads: number | null;
  run(inputs: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>>;
  close(): Promise<void>;
}
