// Prints TC and GPP strings of random choices by the encoders of the IAB, each with what the IAB's decoder reads in it, as JSON.
// Arguments: folders of @iabtechlabtcf/core and @iabgpp/cmpapi, numbers of TC and GPP strings, a seed. The kept sample: 60 60 8.
import { createRequire } from 'node:module';

const [tcFolder, gppFolder, tcCount, gppCount, seed] = process.argv.slice(2);
const require = createRequire(import.meta.url);
const { GVL, PurposeRestriction, Segment, TCModel, TCString } = require(tcFolder);
const { GppModel, Sections } = require(`${gppFolder}/lib/cjs/encoder/index.js`);
const VENDOR = 5, DAY = 86_400_000, NEWEST = Date.UTC(2026, 11, 2);
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

let state = Number(seed);
function below(limit) {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
}
const chance = percent => below(100) < percent;
const some = (ids, percent) => ids.filter(() => chance(percent));
const pick = choices => choices[below(choices.length)];
const updated = () => new Date(NEWEST - below(420) * DAY);
const bits = percent => Array.from({ length: 24 }, () => chance(percent));

const PURPOSES = Array.from({ length: 11 }, (_, at) => at + 1);
const VENDORS = [...Array.from({ length: 40 }, (_, at) => at + 1), 300, 301, 302, 755, 1200];
const named = ids => Object.fromEntries(ids.map(id => [id, { id }]));
const vendor = id => ({ id, purposes: PURPOSES, legIntPurposes: [7, 8], flexiblePurposes: PURPOSES, specialPurposes: [], features: [], specialFeatures: [] });

function vendorList(tcfPolicyVersion) {
    const vendors = Object.fromEntries(VENDORS.map(id => [id, vendor(id)])), shared = { specialPurposes: {}, features: {}, stacks: {} };
    const list = { gvlSpecificationVersion: 3, vendorListVersion: 1, tcfPolicyVersion, purposes: named(PURPOSES), specialFeatures: named([1, 2]) };
    return new GVL({ ...list, ...shared, vendors });
}

function tcModel() {
    const model = new TCModel(vendorList(pick([3, 4, 4, 5, 5, 5, 5, 6])));
    Object.assign(model, { cmpId: 7, cmpVersion: 1, isServiceSpecific: chance(95), purposeOneTreatment: chance(5), publisherCountryCode: 'DE' });
    model.created = model.lastUpdated = updated();
    const density = pick([0, 30, 80, 100]);
    model.purposeConsents.set(some(PURPOSES, density));
    model.purposeLegitimateInterests.set(some(PURPOSES, 50));
    model.vendorConsents.set(some(VENDORS, density));
    model.vendorLegitimateInterests.set(some(VENDORS, 50));
    model.vendorsDisclosed.set(some(VENDORS, pick([0, 80, 100])));
    model.specialFeatureOptins.set(some([1, 2], 50));
    for (let left = chance(30) ? 1 + below(4) : 0; left; left--) {
        model.publisherRestrictions.add(pick([VENDOR, VENDOR, ...VENDORS]), new PurposeRestriction(pick(PURPOSES), below(3)));
    }
    if (chance(30)) model.publisherConsents.set(some(PURPOSES, 80));
    if (chance(10)) {
        model.numCustomPurposes = 3;
        model.publisherCustomConsents.set(some([1, 2, 3], 50));
    }
    return model;
}

function readTc(text) {
    const model = TCString.decode(text);
    const restricted = model.publisherRestrictions.getRestrictions(VENDOR).filter(one => one.restrictionType !== 1);
    return {
        policy: model.policyVersion, service_specific: model.isServiceSpecific, untold: model.purposeOneTreatment,
        updated: model.lastUpdated.getTime(), purposes: PURPOSES.filter(id => model.purposeConsents.has(id)),
        publisher: PURPOSES.filter(id => model.publisherConsents.has(id)), custom: model.publisherCustomConsents.size > 0,
        consented: model.vendorConsents.has(VENDOR), disclosed: model.vendorsDisclosed.has(VENDOR),
        restricted: restricted.map(one => one.purposeId),
    };
}

const TOLD = new Set([
    'SaleOptOut', 'SharingOptOut', 'TargetedAdvertisingOptOut', 'Gpc', 'OptOutSale', 'LastUpdated', 'PolicyVersion', 'IsServiceSpecific',
    'PurposeOneTreatment', 'PurposeConsents', 'PublisherConsents', 'PublisherCustomConsents', 'PurposesExpressConsent',
    'PurposesImpliedConsent', 'PubPurposesExpressConsent', 'PubPurposesImpliedConsent',
]);
const ids = value => Array.isArray(value) ? value.flatMap((said, at) => said ? [at + 1] : []) : value;
function readGpp(text) {
    const sections = Object.entries(new GppModel(text).toObject());
    const told = fields => Object.entries(fields).filter(([name]) => TOLD.has(name)).map(([name, value]) => [name, ids(value)]);
    return Object.fromEntries(sections.map(([name, fields]) => [name, Object.fromEntries(told(fields))]));
}

function tcText() {
    const segments = [Segment.CORE];
    if (chance(85)) segments.push(Segment.VENDORS_DISCLOSED);
    if (chance(70)) segments.push(Segment.PUBLISHER_TC);
    return TCString.encode(tcModel(), { segments });
}

const hasTcf = text => text.startsWith('DB') && Object.keys(readGpp(text)).some(name => name.startsWith('tcf'));
const SAID = { number: was => below(3), boolean: () => chance(50), object: was => was.map(() => below(3)) };
function fill(model, name) {
    const fields = fresh(name).toObject()[name];
    for (const field of Object.keys(fields)) {
        const value = valueOf(name, field, fields[field]);
        try { if (value !== undefined) model.setFieldValue(name, field, value); } catch { /* the section takes no such value */ }
    }
    if (name.startsWith('tcf')) {
        model.setFieldValue(name, 'Created', updated());
        model.setFieldValue(name, 'LastUpdated', updated());
    }
}
function fresh(name) {
    const model = new GppModel();
    const [field, value] = { uspv1: ['Notice', 'Y'], tcfeuv2: ['CmpId', 7], tcfcav1: ['CmpId', 7] }[name] ?? ['SaleOptOut', 0];
    model.setFieldValue(name, field, value);
    return model;
}
function valueOf(name, field, was) {
    if (name === 'uspv1') return field === 'Version' ? undefined : pick(['Y', 'N', '-']);
    if (name.startsWith('tcf')) return valueOfTcf(field);
    if (field === 'Version') return name === 'usnat' ? 1 + below(2) : undefined;
    return field === 'MspaVersion' ? below(64) : field.endsWith('Type') ? undefined : SAID[typeof was]?.(was);
}
function valueOfTcf(field) {
    if (/^(Vendor.*Consents?|VendorsDisclosed|DisclosedVendors)$/.test(field)) return some(VENDORS, 50);
    if (/^(Purpose|Pub(lisher)?(Purposes)?).*Consents?$/.test(field)) return bits(field.startsWith('Pub') ? pick([0, 0, 80]) : pick([0, 50, 90]));
    return { PolicyVersion: 5, IsServiceSpecific: true }[field];
}

function gppText() {
    const model = new GppModel(), names = some([...Sections.SECTION_ID_NAME_MAP.values()], pick([5, 15, 50]));
    for (const name of names) fill(model, name);
    return model.encode();
}

// Of GPP strings only the sections of the United States: on others that are damaged the decoder runs out of memory.
function damaged(text, other) {
    const from = text.indexOf('~') + 1, at = from + below(text.length - from), kind = below(3);
    if (kind === 0) return text.slice(0, at);
    return text.slice(0, at) + (kind === 1 ? pick([...ALPHABET]) + text.slice(at + 1) : other.slice(below(other.length)));
}
function read(text, reader) {
    try { return { text, read: reader(text) }; } catch { return { text, read: null }; }
}
function strings(count, make, reader) {
    const whole = Array.from({ length: count }, make), plain = whole.filter(text => !hasTcf(text));
    const broken = plain.map(text => damaged(text, pick(plain)));
    return { whole: whole.map(text => read(text, reader)), damaged: broken.map(text => read(text, reader)) };
}
const told = { tc: strings(Number(tcCount), tcText, readTc), gpp: strings(Number(gppCount), gppText, readGpp) };
const line = list => list.map(one => JSON.stringify(one)).join(',\n');
const of = name => `"${name}": {"whole": [\n${line(told[name].whole)}\n], "damaged": [\n${line(told[name].damaged)}\n]}`;
process.stdout.write(`{${of('tc')},\n${of('gpp')}}\n`);
