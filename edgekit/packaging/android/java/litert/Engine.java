package edgekit.template;

import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Map;
import org.tensorflow.lite.Interpreter;

/** Runs the model in LiteRT, on the CPU. */
final class Engine implements AutoCloseable {
    private final Interpreter interpreter;
    private final TensorSlot[] inputs;
    private final TensorSlot[] outputs;
    private final String signature;

    Engine(ByteBuffer model, TensorSlot[] inputs, TensorSlot[] outputs, int threads, boolean xnnpack) {
        this.inputs = inputs;
        this.outputs = outputs;
        Interpreter.Options options = new Interpreter.Options();
        options.setNumThreads(threads);
        options.setUseXNNPACK(xnnpack);
        interpreter = new Interpreter(model, options);
        String[] signatures = interpreter.getSignatureKeys();
        signature = signatures.length == 1 ? signatures[0] : null;
    }

    /** One inference: the outputs in the order in which they were named, for inputs in theirs. */
    TensorSlot.Value[] run(TensorSlot.Value... given) {
        TensorSlot.Value[] results = new TensorSlot.Value[outputs.length];
        for (int i = 0; i < outputs.length; i++) {
            results[i] = outputs[i].empty();
        }
        if (signature != null) {
            interpreter.runSignature(byName(inputs, given), byName(outputs, results), signature);
        } else {
            runByPosition(given, results);
        }
        return results;
    }

    private static Map<String, Object> byName(TensorSlot[] slots, TensorSlot.Value[] values) {
        Map<String, Object> named = new HashMap<>();
        for (int i = 0; i < slots.length; i++) {
            named.put(slots[i].name, values[i].data);
        }
        return named;
    }

    /** A model without a signature has only the names of its tensors. */
    private void runByPosition(TensorSlot.Value[] given, TensorSlot.Value[] results) {
        Map<String, Object> byName = byName(inputs, given);
        Object[] ordered = new Object[interpreter.getInputTensorCount()];
        for (int position = 0; position < ordered.length; position++) {
            ordered[position] = byName.get(interpreter.getInputTensor(position).name());
        }
        Map<String, Object> wanted = byName(outputs, results);
        Map<Integer, Object> byPosition = new HashMap<>();
        for (int position = 0; position < interpreter.getOutputTensorCount(); position++) {
            Object result = wanted.get(interpreter.getOutputTensor(position).name());
            if (result != null) {
                byPosition.put(position, result);
            }
        }
        interpreter.runForMultipleInputsOutputs(ordered, byPosition);
    }

    @Override
    public void close() {
        interpreter.close();
    }
}
