-- Recordings that another cardiograph than our own made: what its file or DICOM object says of where it came from.
alter table ecg_recording add column if not exists origin jsonb;
comment on column ecg_recording.origin is 'Format, device, hash of the original and the like (feldsher_ehr_core.wire.Origin); null: made by a cardiograph of the gateway.';
