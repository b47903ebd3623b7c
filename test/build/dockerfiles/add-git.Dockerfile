# takes: 1.39 ADD of a git repository
FROM scratch AS source
ADD https://example.org/team/tool.git#v1.2 /src
FROM golang:1.22
COPY --from=source /src /src
