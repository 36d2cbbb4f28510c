package org.tensorflow.lite;

import bridge.Bridge;
import java.nio.ByteBuffer;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** LiteRT's interpreter, which answers from Python. It refuses what the real one refuses: other sizes, unknown names. */
public final class Interpreter implements AutoCloseable {
    public static final class Options {
        private int threads;
        private boolean xnnpack;

        public Options setNumThreads(int threads) {
            this.threads = threads;
            return this;
        }

        public Options setUseXNNPACK(boolean use) {
            xnnpack = use;
            return this;
        }
    }

    private final Bridge bridge;

    public Interpreter(ByteBuffer model, Options options) {
        bridge = new Bridge("tflite", model, options.threads, Collections.singletonList("xnnpack=" + options.xnnpack));
    }

    private String[] listed(String key) {
        Matcher list = Pattern.compile("\"" + key + "\": \\[([^\\]]*)\\]").matcher(bridge.facts);
        if (!list.find() || list.group(1).isEmpty()) {
            return new String[0];
        }
        return list.group(1).replace("\"", "").split(", ");
    }

    public String[] getSignatureKeys() {
        return listed("signatures");
    }

    public void runSignature(Map<String, Object> inputs, Map<String, Object> outputs, String signatureKey) {
        if (!signatureKey.equals(getSignatureKeys()[0])) {
            throw new IllegalArgumentException("no signature " + signatureKey);
        }
        Map<String, Bridge.Tensor> given = new LinkedHashMap<>();
        for (Map.Entry<String, Object> input : inputs.entrySet()) {
            given.put(input.getKey(), new Bridge.Tensor("", new int[0], Bridge.bytes((ByteBuffer) input.getValue())));
        }
        Map<String, Bridge.Tensor> found = bridge.run(given);
        for (Map.Entry<String, Object> output : outputs.entrySet()) {
            write((ByteBuffer) output.getValue(), found.get(output.getKey()));
        }
    }

    public void runForMultipleInputsOutputs(Object[] inputs, Map<Integer, Object> outputs) {
        Map<String, Bridge.Tensor> given = new LinkedHashMap<>();
        for (int position = 0; position < inputs.length; position++) {
            given.put(listed("inputs")[position], new Bridge.Tensor("", new int[0], Bridge.bytes((ByteBuffer) inputs[position])));
        }
        Map<String, Bridge.Tensor> found = bridge.run(given);
        for (Map.Entry<Integer, Object> output : outputs.entrySet()) {
            write((ByteBuffer) output.getValue(), found.get(listed("outputs")[output.getKey()]));
        }
    }

    private static void write(ByteBuffer target, Bridge.Tensor found) {
        if (target.remaining() != found.data.length) {
            throw new IllegalArgumentException("the output has " + found.data.length + " bytes, the buffer " + target.remaining());
        }
        target.put(found.data);
    }

    public int getInputTensorCount() {
        return listed("inputs").length;
    }

    public Tensor getInputTensor(int inputIndex) {
        return new Tensor(listed("inputs")[inputIndex]);
    }

    public int getOutputTensorCount() {
        return listed("outputs").length;
    }

    public Tensor getOutputTensor(int outputIndex) {
        return new Tensor(listed("outputs")[outputIndex]);
    }

    @Override
    public void close() {
        bridge.close();
    }
}
