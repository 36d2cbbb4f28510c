package android.content;

import android.content.res.AssetManager;
import java.nio.file.Path;

public class Context {
    private final AssetManager assets;

    public Context(Path folder, boolean compressed) {
        assets = new AssetManager(folder, compressed);
    }

    public AssetManager getAssets() {
        return assets;
    }
}
