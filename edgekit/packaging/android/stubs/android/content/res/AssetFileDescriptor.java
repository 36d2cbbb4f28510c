package android.content.res;

import java.io.Closeable;
import java.io.FileDescriptor;
import java.io.IOException;

public class AssetFileDescriptor implements Closeable {
    public FileDescriptor getFileDescriptor() {
        throw new UnsupportedOperationException("a stub to compile against");
    }

    public long getStartOffset() {
        throw new UnsupportedOperationException("a stub to compile against");
    }

    public long getDeclaredLength() {
        throw new UnsupportedOperationException("a stub to compile against");
    }

    @Override
    public void close() throws IOException {
    }
}
