package ai.onnxruntime;

import java.util.Iterator;
import java.util.Map;
import java.util.Set;

public class OrtSession implements AutoCloseable {
    public Result run(Map<String, ? extends OnnxTensorLike> inputs, Set<String> requestedOutputs) throws OrtException {
        throw new UnsupportedOperationException("a stub to compile against");
    }

    @Override
    public void close() throws OrtException {
    }

    public static class Result implements AutoCloseable, Iterable<Map.Entry<String, OnnxValue>> {
        @Override
        public Iterator<Map.Entry<String, OnnxValue>> iterator() {
            throw new UnsupportedOperationException("a stub to compile against");
        }

        @Override
        public void close() {
        }
    }

    public static class SessionOptions implements AutoCloseable {
        public enum OptLevel {
            NO_OPT, BASIC_OPT, EXTENDED_OPT, ALL_OPT
        }

        public void setIntraOpNumThreads(int threads) throws OrtException {
            throw new UnsupportedOperationException("a stub to compile against");
        }

        public void setInterOpNumThreads(int threads) throws OrtException {
            throw new UnsupportedOperationException("a stub to compile against");
        }

        public void setOptimizationLevel(OptLevel level) throws OrtException {
            throw new UnsupportedOperationException("a stub to compile against");
        }

        public void addConfigEntry(String key, String value) throws OrtException {
            throw new UnsupportedOperationException("a stub to compile against");
        }

        @Override
        public void close() {
        }
    }
}
