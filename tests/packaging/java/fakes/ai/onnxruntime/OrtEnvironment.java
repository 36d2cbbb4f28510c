package ai.onnxruntime;

import java.nio.ByteBuffer;

public class OrtEnvironment {
    private static final OrtEnvironment ONLY = new OrtEnvironment();

    public static OrtEnvironment getEnvironment() {
        return ONLY;
    }

    public OrtSession createSession(ByteBuffer model, OrtSession.SessionOptions options) throws OrtException {
        return new OrtSession(model, options);
    }
}
