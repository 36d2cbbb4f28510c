package ai.onnxruntime;

public abstract class OnnxTensorLike implements OnnxValue {
    final TensorInfo info;

    OnnxTensorLike(TensorInfo info) {
        this.info = info;
    }

    @Override
    public TensorInfo getInfo() {
        return info;
    }
}
