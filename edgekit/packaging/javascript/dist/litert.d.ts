/** LiteRT for the web, on the CPU. */
import { type LoadOptions, type WebContract } from "./files.js";
import type { Runtime } from "./runtime.js";
export declare function openRuntime(contract: WebContract, options: LoadOptions): Promise<Runtime>;
