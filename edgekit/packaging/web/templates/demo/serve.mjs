// Serves this package to this machine only, with the runtime's files out of node_modules: node demo/serve.mjs [PORT]
// For trying it out. In production any static server does; README.md says what it has to serve.

import { createReadStream, existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { dirname, extname, join, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";

const PACKAGE = $package;
const RUNTIME_FILES = $files;
const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};
const HEADERS = {
  "Cache-Control": "no-store",
  "X-Content-Type-Options": "nosniff",
  "Cross-Origin-Opener-Policy": "same-origin", // these two let the page have threads
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
};

/** The folder named node_modules that holds the file, looked for as Node.js does; also from where the command was started. */
function inNodeModules(path) {
  const from = [ROOT, process.cwd()].flatMap((folder) => createRequire(join(folder, "_")).resolve.paths("x") ?? []);
  return from.map((folder) => join(folder, path)).find((file) => existsSync(file));
}

function locate(pathname) {
  const path = decodeURIComponent(pathname);
  const runtime = RUNTIME_FILES[path.replace(/^\/demo\/runtime\//, "")];
  if (path.startsWith("/demo/runtime/")) return runtime === undefined ? undefined : inNodeModules(runtime);
  const file = resolve(ROOT, `.$${path.endsWith("/") ? `$${path}index.html` : path}`);
  return file.startsWith(ROOT + sep) && !path.split("/").some((part) => part.startsWith(".")) ? file : undefined;
}

const server = createServer(async (request, response) => {
  try {
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    if (pathname === "/") {
      response.writeHead(302, { Location: "/demo/" }).end();
      return;
    }
    const file = locate(pathname);
    const found = file === undefined ? undefined : await stat(file).catch(() => undefined);
    if (file === undefined || !found?.isFile()) {
      response.writeHead(404, { ...HEADERS, "Content-Type": "text/plain" }).end("not found\n");
      return;
    }
    response.writeHead(200, {
      ...HEADERS,
      "Content-Type": TYPES[extname(file)] ?? "application/octet-stream",
      "Content-Length": found.size,
    });
    createReadStream(file).pipe(response);
  } catch (problem) {
    response.writeHead(400, { ...HEADERS, "Content-Type": "text/plain" }).end("bad request\n");
  }
});

for (const path of Object.values(RUNTIME_FILES)) {
  if (inNodeModules(path) === undefined) {
    console.error(`node_modules/$${path} is missing: run npm install in $${ROOT}`);
    process.exit(3);
  }
}
server.listen(Number(process.argv[2] ?? 8000), "127.0.0.1", () => {
  console.log(`$${PACKAGE}: http://127.0.0.1:$${server.address().port}/demo/`);
});
