// Runs the network of an exported page with ONNX Runtime.

let ort = null;
let session = null;

onmessage = async ({ data }) => {
  try {
    if (data.model) await load(data);
    if (data.planes) {
      const input = new ort.Tensor("float32", data.planes, [1, 3, data.height, data.width]);
      const names = data.pooled ? session.outputNames.filter((name) => name.startsWith("features_")).sort() : [];
      const output = await session.run({ images: input }, ["density", ...names]);
      const features = names.map((name) => ({ data: new Float32Array(output[name].data), shape: output[name].dims.slice(1) }));
      const cells = new Float32Array(output.density.data);
      postMessage({ cells, features }, [cells.buffer, ...features.map((one) => one.data.buffer)]);
    } else postMessage({});
  } catch (error) {
    const memory = /memory|alloc|bad_alloc|abort/i.test(String(error));
    postMessage({ error: memory ? "Not enough memory for this photo; make it smaller." : `The network failed: ${error}` });
  }
};

async function load({ code, wasm, model }) {
  ort = await import(URL.createObjectURL(code));
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = wasm;
  session = await ort.InferenceSession.create(new Uint8Array(model), { executionProviders: ["wasm"] });
}
