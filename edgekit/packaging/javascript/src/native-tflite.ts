/** LiteRT in React Native, on the CPU. */

import { loadTensorflowModel, type TfliteModel } from "react-native-fast-tflite";

import type { Runtime } from "./runtime.js";
import { fromBytes, sizeOf } from "./tensors.js";
import type { Contract, Tensor, TensorMap } from "./types.js";

export interface LoadOptions {
  /** Another place of the model than the app's own assets, as an address. */
  readonly model?: { readonly url: string };
  /** The bytes of `GOLDEN`, for `selfTest`. */
  readonly example?: ArrayBuffer;
}

type Described = TfliteModel["inputs"][number];

export async function openRuntime(contract: Contract, asset: number, options: LoadOptions): Promise<Runtime> {
  const model = await loadTensorflowModel(options.model ?? asset, []);
  return new TfliteRuntime(model, inOrder(model.inputs, contract.inputs), inOrder(model.outputs, contract.outputs));
}

/**
 * The contract's tensors in the file's own order: by their names, or where the file calls them otherwise by type and sizes.
 *
 * @throws TypeError when that does not tell two of them apart.
 */
export function inOrder(described: readonly Described[], maps: readonly TensorMap[]): TensorMap[] {
  return described.map((tensor) => {
    const named = maps.filter(({ artifactName }) => artifactName === tensor.name);
    const alike = maps.filter(({ artifactDtype, artifactShape }) => artifactDtype === tensor.dataType && artifactShape.join() === tensor.shape.join());
    const found = named.length === 1 ? named : alike;
    if (described.length !== maps.length || found.length !== 1) {
      throw new TypeError(`the runtime's tensor ${tensor.name} (${tensor.dataType} [${tensor.shape.join(", ")}]) cannot be told from others`);
    }
    return found[0];
  });
}

class TfliteRuntime implements Runtime {
  /** The runtime chooses its threads itself. */
  readonly threads = null;

  constructor(
    private readonly model: TfliteModel, private readonly inputs: readonly TensorMap[], private readonly outputs: readonly TensorMap[],
  ) {}

  async run(given: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>> {
    const buffers = this.inputs.map(({ artifactName }) => new Uint8Array(bytesOf(given[artifactName])).buffer);
    const found = await this.model.run(buffers);
    return Object.fromEntries(
      this.outputs.map(({ artifactName, artifactDtype }, index) => {
        const dims = this.model.outputs[index].shape;
        return [artifactName, { data: fromBytes(artifactDtype, found[index], 0, sizeOf(dims)), dims }];
      }),
    );
  }

  async close(): Promise<void> {
    this.model.dispose();
  }
}

function bytesOf({ data }: Tensor): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
