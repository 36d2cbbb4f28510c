package org.tensorflow.lite;

import java.nio.ByteBuffer;
import java.util.Map;

public final class Interpreter implements AutoCloseable {
    public static class Options {
        public Options setNumThreads(int threads) {
            throw new UnsupportedOperationException("a stub to compile against");
        }

        public Options setUseXNNPACK(boolean use) {
            throw new UnsupportedOperationException("a stub to compile against");
        }
    }

    public Interpreter(ByteBuffer model, Options options) {
        throw new UnsupportedOperationException("a stub to compile against");
    }

    public String[] getSignatureKeys() {
        throw new UnsupportedOperationException("a stub to compile against");
    }

    public void runSignature(Map<String, Object> inputs, Map<String, Object> outputs, String signatureKey) {
        throw new UnsupportedOperationException("a stub to compile against");
    }

    public void runForMultipleInputsOutputs(Object[] inputs, Map<Integer, Object> outputs) {
        throw new UnsupportedOperationException("a stub to compile against");
    }

    public int getInputTensorCount() {
        throw new UnsupportedOperationException("a stub to compile against");
    }

    public Tensor getInputTensor(int inputIndex) {
        throw new UnsupportedOperationException("a stub to compile against");
    }

    public int getOutputTensorCount() {
        throw new UnsupportedOperationException("a stub to compile against");
    }

    public Tensor getOutputTensor(int outputIndex) {
        throw new UnsupportedOperationException("a stub to compile against");
    }

    @Override
    public void close() {
    }
}
