// Speaks a text with Flite compiled to WASI: node --no-warnings speak.mjs flite.wasm FOLDER VOICE TEXT
// The result is FOLDER/speech.wav, 16 kHz mono. Needs Node.js 20 or newer. One text a process: several in one crash Node.js.
import { readFileSync } from 'node:fs';
import { WASI } from 'node:wasi';

const [program, folder, voice, text] = process.argv.slice(2);
const args = ['flite', '-voice', voice, '-t', text, '-o', '/speech.wav'];
const wasi = new WASI({ version: 'preview1', args, env: {}, preopens: { '/': folder }, returnOnExit: true });
const { instance } = await WebAssembly.instantiate(readFileSync(program), { wasi_snapshot_preview1: wasi.wasiImport });
process.exit(wasi.start(instance));
