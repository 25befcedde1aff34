// An SPI flash: mode 0, deep power-down at first, READ. What is in flash.hex is from address 0 of `content` on; all
// else is blank.
module spi_flash #(parameter ADDRESS = 0, parameter BYTES = 1, parameter RELEASE_NS = 40000) (
    input clock, input select, input copi, output reg cipo
);
    localparam RELEASE = 8'hAB, READ = 8'h03;
    reg [7:0] content [0:BYTES-1];
    reg asleep = 1, hears = 0, reads = 0;
    reg [31:0] told = 0, address = 0;
    reg [5:0] bits = 0;
    reg [2:0] bit_number = 0;
    reg [63:0] awake_from = 0;
    integer i;
    initial begin
        cipo = 0;
        for (i = 0; i < BYTES; i = i + 1) content[i] = 8'hFF;
        $readmemh("flash.hex", content);
    end

    function [7:0] stored(input [31:0] at);
        stored = at >= ADDRESS && at < ADDRESS + BYTES ? content[at - ADDRESS] : 8'hFF;
    endfunction

    always @(posedge select) begin
        bits <= 0;
        reads <= 0;
        hears <= $time >= awake_from;
    end
    always @(negedge select)
        if (hears && bits == 8 && told[7:0] == RELEASE) begin
            asleep <= 0;
            awake_from <= $time + RELEASE_NS;
        end
    always @(posedge clock)
        if (select && !reads) begin
            told <= {told[30:0], copi};
            bits <= bits + 1;
            if (bits == 31 && told[30:23] == READ && hears && !asleep) begin
                reads <= 1;
                address <= {8'h00, told[22:0], copi};
                bit_number <= 7;
            end
        end
    always @(negedge clock)
        if (select && reads) begin
            cipo <= stored(address) >> bit_number;
            bit_number <= bit_number - 1;
            if (bit_number == 0) address[23:0] <= address[23:0] + 1;
        end
endmodule
