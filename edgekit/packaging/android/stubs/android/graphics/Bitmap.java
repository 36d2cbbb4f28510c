package android.graphics;

public final class Bitmap {
    public int getWidth() {
        throw new UnsupportedOperationException("a stub to compile against");
    }

    public int getHeight() {
        throw new UnsupportedOperationException("a stub to compile against");
    }

    public void getPixels(int[] pixels, int offset, int stride, int x, int y, int width, int height) {
        throw new UnsupportedOperationException("a stub to compile against");
    }
}
