export * from "./index-onnx.js";
