// A folder of text files as one uncompressed zip: the editor's download for a sim of several files.

/** CRC-32, the minimum that a reader needs to check a file. @param {Uint8Array} bytes */
function crc32(bytes) {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

/** Numbers as little-endian bytes, each as [value, bytes]. @param {...[number, number]} parts */
const packed = (...parts) => Uint8Array.from(parts.flatMap(([value, size]) => Array.from({ length: size }, (_, i) => (value >>> (8 * i)) & 255)));

/** 1 January 1980, the first day of the format: the same files always give the same bytes. */
const DAY = 0x21;
/** File names are UTF-8. */
const UTF8 = 0x800;

/**
 * Return files as a zip.
 * @param {Record<string, string>} files text by path @returns {Blob}
 */
export function zipped(files) {
  const encoder = new TextEncoder();
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const bodies = [];
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const entries = [];
  let at = 0;
  for (const [path, text] of Object.entries(files)) {
    const [name, data] = [encoder.encode(path), encoder.encode(text)];
    /** The fields that both headers of a file share: from flags to lengths, without versions. @type {[number, number][]} */
    const about = [[UTF8, 2], [0, 2], [0, 2], [DAY, 2], [crc32(data), 4], [data.length, 4], [data.length, 4], [name.length, 2], [0, 2]];
    const head = packed([0x04034b50, 4], [20, 2], ...about);
    entries.push(packed([0x02014b50, 4], [20, 2], [20, 2], ...about, [0, 2], [0, 2], [0, 2], [0, 4], [at, 4]), name);
    bodies.push(head, name, data);
    at += head.length + name.length + data.length;
  }
  const size = entries.reduce((sum, part) => sum + part.length, 0);
  const count = entries.length / 2;
  const end = packed([0x06054b50, 4], [0, 2], [0, 2], [count, 2], [count, 2], [size, 4], [at, 4], [0, 2]);
  return new Blob([...bodies, ...entries, end], { type: "application/zip" });
}
