// From what was dropped or chosen to the single images: folders are walked, zips are read here, in the browser, image by image.

const OTHERS = /^(\.|__macosx$|thumbs\.db$|desktop\.ini$)/i;
const ZIPS = ["PK\x03\x04", "PK\x05\x06"];
const END = 0x06054b50, ENTRY = 0x02014b50, END_BYTES = 22, LONGEST_COMMENT = 0xffff;

// Returns [{name, blob}] for files; blob() gives a promise of the image's bytes.
export async function imagesOf(files, limits) {
  const found = [];
  for (const file of files) {
    const path = (file.webkitRelativePath || file.name).split("/");
    if (path.some(part => OTHERS.test(part))) continue;
    if (await isZip(file)) {
      try {
        for (const entry of await entriesOf(file, limits)) found.push(entry);
      } catch (error) {
        found.push({ name: file.name, blob: () => Promise.reject(error) });
      }
    } else {
      found.push({ name: file.name, blob: () => bounded(file, file.size, limits) });
    }
  }
  return found;
}

// Returns the files of a drop, those in folders too. Must be called while the drop is handled.
export function filesOfDrop(transfer) {
  const entries = [...transfer.items].map(item => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return Promise.resolve([...transfer.files]);
  return Promise.all(entries.map(walk)).then(lists => lists.flat());
}

async function isZip(blob) {
  return ZIPS.includes(String.fromCharCode(...new Uint8Array(await blob.slice(0, 4).arrayBuffer())));
}

async function walk(entry) {
  if (OTHERS.test(entry.name)) return [];
  if (entry.isFile) return [await new Promise((done, failed) => entry.file(done, failed))];
  const reader = entry.createReader(), inside = [];
  for (;;) {
    // At most a hundred at a time.
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!some.length) break;
    inside.push(...some);
  }
  return (await Promise.all(inside.map(walk))).flat();
}

function bounded(blob, size, limits) {
  if (size > limits.file_bytes) {
    return Promise.reject(new Error(`${Math.round(size / 1e6)} MB; an image of a cell has at most ${Math.round(limits.file_bytes / 1e6)} MB`));
  }
  return Promise.resolve(blob);
}

// The zip format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
async function entriesOf(file, limits) {
  const start = Math.max(0, file.size - END_BYTES - LONGEST_COMMENT);
  const tail = new DataView(await file.slice(start).arrayBuffer());
  let at = tail.byteLength - END_BYTES;
  while (at >= 0 && tail.getUint32(at, true) !== END) at--;
  if (at < 0) throw new Error("damaged zip: it has no directory");
  const size = tail.getUint32(at + 12, true), offset = tail.getUint32(at + 16, true);
  if (offset + size > file.size) throw new Error("a zip of more than 4 GB, or a damaged one");
  const directory = new DataView(await file.slice(offset, offset + size).arrayBuffer());
  const found = [];
  for (let place = 0; place + 46 <= directory.byteLength && directory.getUint32(place, true) === ENTRY;) {
    const [flags, method] = [directory.getUint16(place + 8, true), directory.getUint16(place + 10, true)];
    const [packed, unpacked] = [directory.getUint32(place + 20, true), directory.getUint32(place + 24, true)];
    const [named, extra, comment] = [28, 30, 32].map(offset => directory.getUint16(place + offset, true));
    const header = directory.getUint32(place + 42, true);
    const path = new TextDecoder().decode(new Uint8Array(directory.buffer, place + 46, Math.min(named, directory.byteLength - place - 46)));
    place += 46 + named + extra + comment;
    const parts = path.split("/");
    if (path.endsWith("/") || parts.some(part => OTHERS.test(part))) continue;
    const blob = async () => {
      const content = await unpack(file, { flags, method, packed, unpacked, header }, limits);
      if (await isZip(content)) throw new Error("a zip within a zip, which is not opened");
      return content;
    };
    found.push({ name: parts.at(-1), blob });
  }
  if (!found.length) throw new Error("zip without a file");
  return found;
}

async function unpack(file, entry, limits) {
  if (entry.flags & 1) throw new Error("encrypted; give a zip without a password");
  await bounded(null, entry.unpacked, limits);
  const local = new DataView(await file.slice(entry.header, entry.header + 30).arrayBuffer());
  if (local.byteLength < 30) throw new Error("damaged zip");
  const start = entry.header + 30 + local.getUint16(26, true) + local.getUint16(28, true);
  const data = file.slice(start, start + entry.packed);
  if (entry.method === 0) return data;
  if (entry.method !== 8) throw new Error(`compressed by method ${entry.method} of the zip format; expected 0 (stored) or 8 (deflate)`);
  const reader = data.stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader(), parts = [];
  try {
    for (let size = 0; ;) {
      const { done, value } = await reader.read();
      if (done) return new Blob(parts);
      size += value.length;
      // A bomb is not unpacked further than it says it is large.
      if (size > entry.unpacked) throw new Error("damaged zip: a file is larger than it says");
      parts.push(value);
    }
  } catch (error) {
    reader.cancel().catch(() => {});
    throw error instanceof TypeError ? new Error("damaged zip") : error;
  }
}
