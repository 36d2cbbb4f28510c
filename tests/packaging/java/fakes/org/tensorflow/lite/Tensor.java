package org.tensorflow.lite;

public final class Tensor {
    private final String name;

    Tensor(String name) {
        this.name = name;
    }

    public String name() {
        return name;
    }
}
